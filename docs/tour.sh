#!/bin/sh
# The tour of the house: gathers the tagged comments of the sources, in the order of their numbers, into
# one HTML page. $1 the source directory, $2 the page, $3 what leads from the page to the sources
# ("../" by default).
#
# A stop is a comment that begins with /*T:NUMBER TITLE and a line " *"; paragraphs are set apart by
# such lines. The code behind it is shown up to the end of its function or table, in .def files up to an
# empty line. The number's hundreds are the chapter.
set -eu
source=$1 page=$2 prefix=${3-../}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source"

chapter() {
    case $1 in
    1) echo "From reset to the first instruction" ;;
    2) echo "Memory" ;;
    3) echo "A device" ;;
    4) echo "Interrupts" ;;
    5) echo "The translator" ;;
    6) echo "Time" ;;
    7) echo "Paravirtualization" ;;
    8) echo "Debugging" ;;
    9) echo "Exercises" ;;
    *) echo "docs/tour.sh: no chapter $1" >&2; exit 1 ;;
    esac
}

# One file per stop, NUMBER.html, and lines NUMBER FILE LINE TITLE in `index`.
find base mmu cpu block devices pv bios machine frontends -name '*.[ch]' -o -name '*.def' | sort |
    xargs awk -v work="$work" -v prefix="$prefix" '
    function html(s) {
        gsub(/&/, "\\&amp;", s)
        gsub(/</, "\\&lt;", s)
        gsub(/>/, "\\&gt;", s)
        return s
    }
    function inline(s) { # `code` in text
        s = html(s)
        while (match(s, /`[^`]*`/))
            s = substr(s, 1, RSTART - 1) "<code>" substr(s, RSTART + 1, RLENGTH - 2) "</code>" \
                substr(s, RSTART + RLENGTH)
        return s
    }
    function broken(what) {
        printf "%s:%d: %s\n", FILENAME, FNR, what > "/dev/stderr"
        bad = 1
        state = ""
    }
    function close_stop() {
        if (state == "code") {
            print "</pre></section>" > out
            close(out)
        } else if (state == "text") {
            broken("the comment of a stop does not end")
        }
        state = ""
    }
    FNR == 1 { close_stop() }
    /^[ \t]*\/[*\/]T:/ {
        close_stop()
        if ($0 !~ /^\/\*T:[1-9][0-9][0-9] [^ ]/ || /\*\//) {
            broken("a dangling tag: a stop begins with /*T:NUMBER TITLE")
            next
        }
        number = substr($0, 5, 3)
        title = substr($0, 9)
        first = FNR
        if (number in seen) {
            broken("stop " number " is " seen[number] ", too")
            next
        }
        seen[number] = FILENAME ":" FNR
        out = work "/" number ".html"
        print number, FILENAME, FNR, title > (work "/index")
        printf "<section id=\"t%s\"><h3>%s</h3>\n<p class=\"at\"><a href=\"%s%s#L%d\">%s:%d</a></p>\n<p>\n",
            number, inline(title), prefix, FILENAME, FNR, FILENAME, FNR > out
        state = "text"
        next
    }
    state == "text" && /^ \*\/$/ {
        print "</p><pre>" > out
        state = "code"
        shown = 0
        next
    }
    state == "text" && /^ \*$/ {
        if (FNR > first + 1)
            print "</p><p>" > out
        next
    }
    state == "text" && /^ \* / { print inline(substr($0, 4)) > out; next }
    state == "text" { broken("no line of a comment"); next }
    state == "code" && FILENAME ~ /\.def$/ && (/^$/ || shown == 12) { close_stop(); next }
    state == "code" {
        if (shown++ < 60)
            printf "<span class=\"n\">%d</span>%s\n", FNR, html($0) > out
        else if (shown == 61)
            print "<span class=\"n\"></span>..." > out
        if (/^}/)
            close_stop()
    }
    END {
        close_stop()
        exit bad
    }'

{
    cat <<'END'
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The tour of the house</title>
<style>
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fdfdfb; --quiet: #666; --box: #f1f1ec; --link: #0b57a4 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e0; --paper: #161718; --quiet: #9a9a95; --box: #222426; --link: #8ab8ec }
}
body { margin: 0 auto; max-width: 50rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1.05rem/1.55 Georgia, "DejaVu Serif", serif }
h1, h2, h3, nav { font-family: system-ui, sans-serif; line-height: 1.25 }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--quiet) }
a { color: var(--link) }
.at { margin: -.7rem 0 0; font: .85rem ui-monospace, monospace }
nav ol { columns: 2; column-gap: 2rem; font-size: .9rem; padding-left: 1.2rem }
nav ul { list-style: none; padding-left: .5rem }
nav li { break-inside: avoid }
pre, code { font: .82rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace }
pre { overflow-x: auto; padding: .7rem; background: var(--box) }
.n { display: inline-block; width: 3.2em; margin-right: 1em; color: var(--quiet); text-align: right; user-select: none }
@media print {
  body { max-width: none; font-size: 10pt }
  pre { white-space: pre-wrap; font-size: 7.5pt }
  h2 { break-before: page }
  h3 { break-after: avoid }
}
</style>
</head>
<body>
<h1>The tour of the house</h1>
<p>A walk through the sources of Parallax in the order in which a machine comes to life. Each stop is a comment
in the source and the code behind it; its line number leads there. With the program at hand, follow it with
<code>parallax -S -monitor stdio</code>, <code>info</code> and <code>explain</code>.</p>
<nav><ol>
END
    last=
    sort -n "$work/index" | while read -r number _ _ title; do
        if [ "${number%??}" != "$last" ]; then
            [ -z "$last" ] || echo "</ul></li>"
            last=${number%??}
            printf '<li>%s<ul>\n' "$(chapter "$last")"
        fi
        printf '<li><a href="#t%s">%s</a></li>\n' "$number" "$(printf %s "$title" | sed 's/&/\&amp;/g; s/</\&lt;/g')"
    done
    echo "</ul></li></ol></nav>"
    last=
    sort -n "$work/index" | while read -r number _; do
        if [ "${number%??}" != "$last" ]; then
            last=${number%??}
            printf '<h2>%s. %s</h2>\n' "$last" "$(chapter "$last")"
        fi
        cat "$work/$number.html"
    done
    echo "</body></html>"
} >"$work/page"
mv "$work/page" "$page"
