#!/bin/sh
# -vnc: clients by TCP, WebSocket and vncsnapshot see the screen dot by dot; keys and pointer reach the
# guest; a password is asked for; WebSockets are refused unless they are on. program, source, image of
# input16
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in python3 vncsnapshot djpeg; do
    command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
cp "$1" disk.img
printf 'secret\n' >password
"$program" -m 32 -fda disk.img -display vnc=:0,to=999 -timeout 0.1 2>errors </dev/null
grep -q 'built without libvncserver' errors && { echo "no libvncserver"; exit 77; }
python3 "$source/tests/guest/vnc.py" "$program" -m 32 -fda disk.img -name served -debugcon file:console \
    -screendump screen.png -timeout 200 2>errors
code=$?
expect_code 0
