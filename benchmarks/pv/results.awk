# results.awk: from "ROUND PERSONALITY GROUP NAME NANOSECONDS" to a table of each group, and to JSON: the
# median time under each personality, and its ratio to the first one's, the median of those within a round.
function sort_values(v, n,   i, j, t) {
    for (i = 2; i <= n; i++) {
        t = v[i]
        for (j = i - 1; j >= 1 && v[j] > t; j--) v[j + 1] = v[j]
        v[j + 1] = t
    }
}
# Of personality p's times in row r, by those of `by` ("": by 1); -1: there are none.
function median(r, p, by,   v, n, k) {
    n = 0
    for (k = 1; k <= rounds; k++)
        if ((k, p, r) in ns && (by == "" || (k, by, r) in ns))
            v[++n] = ns[k, p, r] / (by == "" ? 1 : ns[k, by, r])
    if (!n) return -1
    sort_values(v, n)
    return (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2
}
function shown(t) { return t < 0 ? "-" : t < 1000 ? sprintf("%.1f ns", t) : t < 1e6 ? sprintf("%.2f us", t / 1e3) : sprintf("%.2f ms", t / 1e6) }
function head(g,   c) {
    printf "%s%-24s", rows++ ? "\n" : "", g
    for (c = 1; c <= count; c++) printf c == 1 ? " %11s" : " %11s %6s", column[c], ""
    print ""
}
{
    row = $3 " " $4
    if (!(row in known)) { known[row] = 1; name[++names] = row; if (!($3 in is)) { is[$3] = 1; group[++groups] = $3 } }
    ns[$1, $2, row] = $5
    if ($1 > rounds_seen) rounds_seen = $1
}
END {
    rounds = rounds_seen
    count = split(columns, column, " ")
    for (g = 1; g <= groups; g++) {
        head(group[g])
        for (i = 1; i <= names; i++) {
            if (index(name[i], group[g] " ") != 1) continue
            short = substr(name[i], length(group[g]) + 2)
            printf "%-24s", short
            for (c = 1; c <= count; c++) {
                t = median(name[i], column[c], "")
                q = median(name[i], column[c], column[1])
                printf c == 1 ? " %11s" : " %11s %6s", shown(t), q < 0 ? "" : sprintf("%.2f", q)
                if (t >= 0)
                    text = text sprintf("%s{\"group\":\"%s\",\"name\":\"%s\",\"personality\":\"%s\",\"ns\":%.2f%s}", text ? ",\n  " : "",
                                        group[g], short, column[c], t, q < 0 ? "" : sprintf(",\"ratio\":%.4f", q))
            }
            print ""
        }
    }
    printf "\nTime for one; beside it, times that of %s.\n\n", column[1]
    printf "[\n  %s\n]", text >json
}
