#!/bin/sh
# The tour of the house has every stop once and in order, its links are right, and no tag dangles.
source=$1
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*"; exit 1; }
page=$dir/page.html

sh "$source/docs/tour.sh" "$source" "$page" ../ || fail "the tour is broken"
cd "$source" || exit 2
stops=$(grep -rhc '^/\*T:' base mmu cpu block devices pv bios machine frontends | awk '{ n += $1 } END { print n }')
[ "$stops" -ge 20 ] || fail "only $stops stops"
for tag in '<section ' '</section>' '<pre>' '</pre>' '<h3>' 'class="at"'; do
    [ "$(grep -o "$tag" "$page" | wc -l)" = "$stops" ] || fail "not $stops times $tag"
done
for chapter in 1 2 3 4 5 6 7 8 9; do
    grep -q "<h2>$chapter\. " "$page" || fail "no chapter $chapter"
done
sed -n 's/^<section id="t\([0-9]*\)".*/\1/p' "$page" >"$dir/numbers"
sort -n -u -c "$dir/numbers" || fail "the stops are not in order"
[ "$(grep -c '^<li><a href="#t' "$page")" = "$stops" ] || fail "the table of contents lacks stops"

# <section id="tNUMBER">, and the next line's <a href="../FILE#LLINE">FILE:LINE</a>
sed -n '/^<section id="t/N; s/^<section id="t\([0-9]*\)".*href="\.\.\/\([^#"]*\)#L\([0-9]*\)">\([^<]*\)<.*/\1 \2 \3 \4/p' \
    "$page" >"$dir/links"
[ "$(wc -l <"$dir/links")" = "$stops" ] || fail "stops without a link"
while read -r number file line text; do
    case $(sed -n "${line}p" "$file") in
    "/*T:$number "*) ;;
    *) fail "$file:$line is not stop $number" ;;
    esac
    [ "$text" = "$file:$line" ] || fail "$file:$line is called $text"
done <"$dir/links"
grep -qE 'https?://|<script|<link|<img' "$page" && fail "the page needs something from elsewhere"

# What dangles is refused, by file and line.
mkdir "$dir/tree"
cd "$dir/tree" || exit 2
mkdir base mmu cpu block devices pv bios machine frontends
refuses() {
    printf "$2" >base/x.c
    if sh "$source/docs/tour.sh" "$dir/tree" "$dir/other.html" 2>"$dir/said"; then
        fail "$1 is accepted"
    fi
    grep -q "^base/x.c:$3: " "$dir/said" || { cat "$dir/said"; fail "$1 is not named"; }
    [ ! -e "$dir/other.html" ] || fail "$1 leaves a page"
}
refuses "a tag without a number" '/*T: Title\n *\n * Text.\n */\nint x;\n' 1
refuses "a tag without a title" '/*T:110\n *\n * Text.\n */\nint x;\n' 1
refuses "a tag in a line comment" 'int x;\n//T:110 Title\n' 2
refuses "a number twice" '/*T:110 One\n *\n * Text.\n */\nint x;\n/*T:110 Two\n *\n * Text.\n */\nint y;\n' 6
refuses "a comment that does not end" '/*T:110 Title\n *\n * Text.\nint x;\n' 4
exit 0
