# summary.awk: from "ROUND ENGINE GROUP NAME NS OPS CHECKSUM" to a table, and to JSON.
#
# Ratios are made within a round; a row shows their median, a group the geometric mean of its rows.
# tcg is the better of its two CPU models in each round; qemu64 has no AVX. Ends with 1 when a result is wrong or missing.

function better(a, b) { return a == "" ? b : b == "" || a < b ? a : b }

function sort_values(v, n,   i, j, t) {
    for (i = 2; i <= n; i++) {
        t = v[i]
        for (j = i - 1; j >= 1 && v[j] > t; j--)
            v[j + 1] = v[j]
        v[j + 1] = t
    }
}

function quantile(v, n, p,   at, i) {
    at = (n - 1) * p + 1
    i = int(at)
    return i >= n ? v[n] : v[i] + (at - i) * (v[i + 1] - v[i])
}

# Median over the rounds of engine a's time in row r, by engine b's (or by 1); "" without values.
# Sets spread: half the distance of the quartiles.
function ratio(r, a, b,   v, n, k) {
    n = 0
    for (k = 1; k <= rounds; k++) {
        if ((k, a, r) in ns && (b == "" || (k, b, r) in ns))
            v[++n] = ns[k, a, r] / (b == "" ? 1 : ns[k, b, r])
    }
    if (!n)
        return ""
    sort_values(v, n)
    spread = (quantile(v, n, 0.75) - quantile(v, n, 0.25)) / 2
    return quantile(v, n, 0.5)
}

function cell(v) { return v == "" ? sprintf("%10s", "-") : sprintf("%10.2f", v) }

function value(name, v) { return v == "" ? "" : sprintf(", \"%s\": %.4f", name, v) }

function quoted(s) {
    gsub(/\\/, "\\\\", s)
    gsub(/"/, "\\\"", s)
    return "\"" s "\""
}

function fail(text) {
    print "bench: " text | "cat >&2"
    bad = 1
}

# Adds a row's ratio to the mean of its group.
function gather(g, column, v) {
    if (v != "" && v > 0) {
        logs[g, column] += log(v)
        count[g, column]++
    }
}

function mean(g, column) {
    return count[g, column] ? exp(logs[g, column] / count[g, column]) : ""
}

BEGIN {
    # What the group must reach: against TCG at least, against native at most.
    split("integer 3 2.0 sse 10 2.5 avx 10 2.5 x87 8 1.8 i387 50 3 memory 3 2.7 code 15 0 syscall 2 1.9 " \
          "process 3 2.7 exception 2 2.0 i386 4 0", t, " ")
    for (i = 1; i in t; i += 3) {
        floor[t[i]] = t[i + 1]
        ceiling[t[i]] = t[i + 2]
    }
}

$5 == "SKIP" {
    skipped[$2, $3] = 1
    next
}

{
    row = $3 "/" $4
    group_of[row] = $3
    if (!(row in known)) {
        known[row] = 1
        order[++rows] = row
        if (!($3 in is_group)) {
            is_group[$3] = 1
            groups[++group_count] = $3
        }
    }
}

$5 == "FAIL" {
    $1 = ""
    fail("wrong:" $0)
    next
}

{
    if (row in sum && sum[row] != $7)
        fail(row ": " $2 " computed " $7 ", " sum_of[row] " " sum[row])
    else if (!(row in sum)) {
        sum[row] = $7
        sum_of[row] = $2
    }
    ns[$1, $2, row] = $5
    seen[$2]++
}

END {
    for (i = 1; i <= rows; i++) {
        for (k = 1; k <= rounds; k++) {
            v = better(ns[k, "tcg-max", order[i]], ns[k, "tcg-qemu64", order[i]])
            for (e in seen) {
                if (ns[k, e, order[i]] == "") {
                    if (!((e, group_of[order[i]]) in skipped) && !(e == "tcg-qemu64" && group_of[order[i]] == "avx"))
                        fail(order[i] ": no result of " e " in round " k)
                    delete ns[k, e, order[i]]
                }
            }
            if (v != "")
                ns[k, "tcg", order[i]] = v
        }
    }
    printf "%-26s %11s%10s%10s%10s%10s%20s\n", "", "native ns", "jit", "interp", "tcg", "tcg/jit", "+-"
    for (g = 1; g <= group_count; g++) {
        for (i = 1; i <= rows; i++) {
            r = order[i]
            if (index(r, groups[g] "/") != 1)
                continue
            native = ratio(r, "native", "")
            ratio_of["jit"] = ratio(r, "jit", "native")
            ratio_of["interp"] = ratio(r, "interp", "native")
            ratio_of["tcg"] = ratio(r, "tcg", "native")
            ratio_of["gain"] = ratio(r, "tcg", "jit")
            for (c in ratio_of)
                gather(groups[g], c, ratio_of[c])
            printf "%-26s %11s%s%s%s%s%10s\n", r, native == "" ? "-" : sprintf("%.1f", native),
                cell(ratio_of["jit"]), cell(ratio_of["interp"]), cell(ratio_of["tcg"]), cell(ratio_of["gain"]),
                ratio_of["gain"] == "" ? "-" : sprintf("%.2f", spread)
            text = text sprintf("%s\n    {\"group\": %s, \"name\": %s", text == "" ? "" : ",", quoted(groups[g]),
                quoted(substr(r, length(groups[g]) + 2)))
            text = text value("native_ns", native) value("jit_ns", ratio(r, "jit", ""))
            text = text value("interp_ns", ratio(r, "interp", "")) value("tcg_ns", ratio(r, "tcg", ""))
            text = text value("jit_by_native", ratio_of["jit"]) value("interp_by_native", ratio_of["interp"])
            text = text value("tcg_by_native", ratio_of["tcg"]) value("tcg_by_jit", ratio_of["gain"]) "}"
        }
        n = groups[g]
        goal = n in floor ? sprintf("  (at least %s%s)", floor[n], ceiling[n] ? ", jit at most " ceiling[n] : "") : ""
        printf "%-26s %11s%s%s%s%s%s\n\n", "= " n, "", cell(mean(n, "jit")), cell(mean(n, "interp")),
            cell(mean(n, "tcg")), cell(mean(n, "gain")), goal
        means = means sprintf("%s\n    {\"group\": %s", means == "" ? "" : ",", quoted(n)) \
            value("jit_by_native", mean(n, "jit")) value("interp_by_native", mean(n, "interp")) \
            value("tcg_by_native", mean(n, "tcg")) value("tcg_by_jit", mean(n, "gain")) \
            (n in floor ? value("at_least", floor[n]) : "") (ceiling[n] ? value("at_most", ceiling[n]) : "") "}"
    }
    printf "jit, interp, tcg: times of native; tcg/jit: how much faster than TCG. Medians of %d round%s,\n" \
        "geometric means. %s; %s; %s\n", rounds, rounds == 1 ? "" : "s", cpu, ours, qemu
    if (json != "")
        printf "{\n  \"host\": %s,\n  \"kernel\": %s,\n  \"parallax\": %s,\n  \"qemu\": %s,\n" \
            "  \"rounds\": %d,\n  \"correct\": %s,\n  \"rows\": [%s\n  ],\n  \"groups\": [%s\n  ]\n}\n",
            quoted(cpu), quoted(kernel), quoted(ours), quoted(qemu), rounds, bad ? "false" : "true",
            text, means >json
    exit bad
}
