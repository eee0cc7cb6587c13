"""
Filtering sound: the beat of a piece of music
=============================================

A filter of finite impulse response (FIR) is a convolution with a few hundred taps. Here three of
them divide a piece of house music into bass, middle and treble, the beat is counted in the bass,
and the same filters run on a stream of blocks. The sound comes with the examples of the package
``pygame-ce`` (LGPL), of which nothing is imported.
"""

import importlib.metadata
import timeit

import matplotlib.pyplot as plt
import numpy as np
import scipy.io.wavfile
import scipy.signal

import fastconv as fc
from fastconv import signal

package = importlib.metadata.distribution("pygame-ce")
rate, samples = scipy.io.wavfile.read(package.locate_file("pygame/examples/data/house_lo.wav"))
sound = (samples.astype(np.float32) - 128) / 128
print(f"{len(sound) / rate:.1f} s at {rate} Hz, {samples.dtype}")

# %%
# Three bands that add up
# -----------------------
#
# :func:`scipy.signal.firwin` designs the filters. Their taps are symmetric, so they delay all
# frequencies alike, by half their length, which the padding takes back; and it does not matter that
# :func:`fastconv.conv1d` does not flip them. The middle is what the other two leave. One call
# computes all three: a signal of one channel becomes one of three.

taps = 401
bass = scipy.signal.firwin(taps, 150, fs=rate)
treble = scipy.signal.firwin(taps, 2000, fs=rate, pass_zero=False)
middle = scipy.signal.unit_impulse(taps, "mid") - bass - treble
bank = np.stack([bass, middle, treble]).astype(np.float32)[:, np.newaxis]

bands = fc.conv1d(sound[np.newaxis], bank, padding=taps // 2)
print(f"The bands add up to the sound: {np.abs(bands.sum(0) - sound).max():.0e} apart at most")

figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
titles = ("Sound", "Bass, up to 150 Hz", "Middle", "Treble, from 2 kHz")
for axis, wave, title in zip(axes.flat, (sound, *bands), titles, strict=True):
    *_, picture = axis.specgram(wave, NFFT=512, Fs=rate, noverlap=384, vmin=-120, vmax=-30)
    axis.set(title=title, yscale="log", ylim=(20, rate / 2))
figure.supxlabel("seconds")
figure.supylabel("Hz")
figure.colorbar(picture, ax=axes, label="dB")
plt.show()

# %%
# The beat
# --------
#
# The loudness of the bass at a hundredth of the rate: :func:`fastconv.signal.resample_poly` filters
# out what is too fast for it. How much it is like itself some time later has its peak at the beat.

loudness = signal.resample_poly(np.abs(bands[0]), 1, 100)
pulse = loudness - loudness.mean()
likeness = signal.correlate(pulse, pulse)[len(pulse) - 1 :]
seconds = np.arange(len(pulse)) * 100 / rate
between = (seconds > 0.3) & (seconds < 1)
beat = seconds[between][likeness[between].argmax()]
beats = len(sound) / rate / beat
print(f"A beat each {beat:.3f} s: {60 / beat:.0f} a minute, {beats:.1f} in all")

figure, axis = plt.subplots(figsize=(10, 3), layout="constrained")
axis.plot(seconds, loudness)
for at in np.arange(seconds[loudness[:50].argmax()], seconds[-1], beat):
    axis.axvline(at, color="C1", linestyle=":")
axis.set(title="Loudness of the bass, and the beat", xlabel="seconds", yticks=[], xmargin=0)
plt.show()

# %%
# A stream
# --------
#
# Live, a filter sees a block at a time and nothing of the future. The last samples of a block are
# kept for the next one; the result is that of above, half of the taps later.

past = np.zeros((1, taps - 1), np.float32)
blocks = []
for start in range(0, len(sound), 1024):
    block = np.concatenate([past, sound[np.newaxis, start : start + 1024]], axis=1)
    blocks.append(fc.conv1d(block, bank))
    past = block[:, 1 - taps :]
stream = np.concatenate(blocks, axis=1)

late = taps // 2
off = np.abs(stream[:, late:] - bands[:, :-late]).max()
print(f"{late / rate * 1e3:.0f} ms late; {off:.0e} apart at most from the bands in one piece")

# %%
# Times
# -----
#
# The best of ten calls on the machine that made this page, with one thread each.

with fc.num_threads(1):
    ours = timeit.repeat(lambda: fc.conv1d(sound[np.newaxis], bank), number=1, repeat=10)
theirs = timeit.repeat(
    lambda: scipy.signal.oaconvolve(sound[np.newaxis], bank[:, 0], "valid", axes=1),
    number=1,
    repeat=10,
)
print(f"{min(ours) * 1e3:.1f} ms, scipy.signal.oaconvolve {min(theirs) * 1e3:.1f} ms")
