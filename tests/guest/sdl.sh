#!/bin/sh
# -display sdl on a virtual X server: the window shows the screen dot by dot, keys and mouse reach the
# guest, the numbers come and go, closing ends the run. program, source, image of input16
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in Xvfb xdotool python3; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
"$program" help 2>&1 | grep -q '^ *-display' || fail "no -display in the help"
cp "$1" disk.img
python3 "$source/tests/guest/sdl.py" "$program" -m 32 -fda disk.img -display sdl -name typed \
    -debugcon file:console -serial null -screendump screen.png -timeout 200 2>errors
code=$?
grep -q 'built without SDL' errors && { echo "no SDL"; exit 77; }
expect_code 0
