# counts.awk: from "PERSONALITY ROW OPS CLASS count|exit N" to a table: what the guest did for one, by class, and
# how often translated code was left for it; and to JSON.
BEGIN {
    # What is shown together: accesses of the local APIC but EOI, of other devices.
    split("apic-read apic apic-write apic apic-icr icr apic-tpr apic apic-timer timer apic-eoi eoi in io out io mmio io " \
          "hypercall call wrmsr wrmsr irq irq hlt hlt tlb-miss - cpuid -", t, " ")
    for (i = 1; i in t; i += 2) shown[t[i]] = t[i + 1]
    columns_of = split("apic icr timer eoi io call wrmsr irq hlt exits", title, " ")
}
{
    k = $2 " " $1
    if (!($2 in is_row)) { is_row[$2] = 1; row[++rows] = $2 }
    ops[k] = $3
    if ($5 == "exit") sum[k, "exits"] += $6
    else {
        if ($4 in shown) sum[k, shown[$4]] += $6
        if (k in text) text[k] = text[k] ","
        text[k] = text[k] sprintf("\"%s\":%.3f", $4, $6 / $3)
    }
}
END {
    printf "%-32s", "for one, or for one MB"
    for (c = 1; c <= columns_of; c++) printf " %8s", title[c]
    print ""
    count = split(columns, column, " ")
    for (i = 1; i <= rows; i++) {
        print ""
        for (p = 1; p <= count; p++) {
            k = row[i] " " column[p]
            if (!(k in ops)) continue
            printf "%-20s %-11s", row[i], column[p]
            for (c = 1; c <= columns_of; c++) printf " %8.2f", sum[k, title[c]] / ops[k]
            print ""
            all = all sprintf("%s{\"row\":\"%s\",\"personality\":\"%s\",\"exits\":%.3f,\"classes\":{%s}}", all ? ",\n  " : "",
                              row[i], column[p], sum[k, "exits"] / ops[k], text[k])
        }
    }
    print "\nexits: how often translated code was left for one of all classes.\n"
    printf "[\n  %s\n]", all >json
}
