"""Do tones (pairs of Hz and seconds) follow each other in a WAV file?"""
import array
import sys
import wave

WINDOW = 0.05
LOUD = 500


def frequency(samples, rate):
    """Of a tone, by how often it rises through zero; 0: silence."""
    if max(samples) - min(samples) < LOUD:
        return 0
    rises, low = [], False
    for i, s in enumerate(samples):
        if s < -LOUD // 4:
            low = True
        elif s > LOUD // 4 and low:
            rises.append(i)
            low = False
    return rate * (len(rises) - 1) / (rises[-1] - rises[0]) if len(rises) > 2 else -1


with wave.open(sys.argv[1]) as w:
    rate = w.getframerate()
    assert (w.getnchannels(), w.getsampwidth()) == (2, 2)
    left = array.array("h", w.readframes(w.getnframes()))[::2]
step = int(rate * WINDOW)
heard = [frequency(left[i : i + step], rate) for i in range(0, len(left) - step, step)]
print("heard", [round(f) for f in heard])
tones = [float(a) for a in sys.argv[2:]]
at = 0
for hz, seconds in zip(tones[::2], tones[1::2]):
    count = 0
    while at < len(heard) and count < int(seconds / WINDOW):
        count = count + 1 if abs(heard[at] - hz) < hz / 100 else 0
        at += 1
    if count < int(seconds / WINDOW):
        sys.exit("no %g Hz for %g s" % (hz, seconds))
