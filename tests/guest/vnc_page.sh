#!/bin/sh
# A page in headless Chromium opens the WebSocket of -vnc, types a key and sees the screen, dot by dot.
# Skipped where there is no Chromium: CI's packages lack it. program, source, image of input16
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in chromium python3; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
cp "$1" disk.img
python3 "$source/tests/guest/vnc_page.py" "$source/tests/guest/vnc.html" "$program" -m 32 -fda disk.img \
    -debugcon file:console -screendump screen.png -timeout 200 -vnc :0,to=999,websocket=on 2>errors
code=$?
grep -q 'built without libvncserver' errors && { echo "no libvncserver"; exit 77; }
expect_code 0
