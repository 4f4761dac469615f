# nano.awk: from "PERSONALITY on|off NAME PICOSECONDS" to a table of cycles of the host's TSC, and to JSON.
{
    if (!($3 in seen)) { seen[$3] = 1; name[++names] = $3 }
    k = $1 " " $2 " " $3
    if (!(k in best) || $4 < best[k]) best[k] = $4
}
function cycles(p, how, n,   k) {
    k = p " " how " " n
    return k in best ? best[k] * rate / 1e9 : -1 # picoseconds by kHz
}
END {
    count = split(columns, column, " ")
    printf "%-24s", ""
    for (c = 1; c <= count; c++) printf " %10s %10s", column[c], "off"
    print ""
    for (i = 1; i <= names; i++) {
        printf "%-24s", name[i]
        for (c = 1; c <= count; c++) {
            on = cycles(column[c], "on", name[i])
            off = cycles(column[c], "off", name[i])
            if (on < 0) { printf " %10s %10s", "-", "-"; continue }
            printf " %10.0f %10.0f", on, off
            rows = rows sprintf("%s{\"personality\":\"%s\",\"operation\":\"%s\",\"inline\":%.1f,\"exits\":%.1f}",
                                rows ? ",\n  " : "", column[c], name[i], on, off)
        }
        print ""
    }
    printf "\nCycles of the TSC (%.3f GHz) for one, fastest round; off: -pv-inline off.\n\n", rate / 1e6
    printf "[\n  %s\n]", rows >json
}
