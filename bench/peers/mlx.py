"""MLX as a peer of the benchmark, on its default device.

Answers one line of JSON on stdin with one on stdout; see lib/cli/bench/peers.ts. Everything that is timed is in `Case`.
MLX keeps channels last, so inputs and weights are transposed when they are loaded, which is not timed.
"""

import json
import struct
import sys
import time
from importlib.metadata import version

sys.path.pop(0)  # this folder, in which mlx is this file
import mlx.core as mx


def weight_norm(v, g, axes):
    return v * (g / mx.sqrt(mx.sum(mx.square(v), axis=axes, keepdims=True)))


# A stage's arithmetic is fused as MLX's users do it.
compiled_weight_norm = {axes: mx.compile(lambda v, g, axes=axes: weight_norm(v, g, axes)) for axes in [(1,), (1, 2), (1, 2, 3), (0, 1)]}


def leaky_relu(x, slope):
    return mx.maximum(x, slope * x)


class Case:
    """One case and variant: `run` computes it once."""

    def __init__(self, case, variant, path):
        self.case = case
        self.live = variant == "live"
        self.folded = {}
        transposed = case["family"] == "ConvTranspose1d"
        self.tensors = {name: self.arrange(name, x, transposed) for name, x in mx.load(path).items()}
        mx.eval(self.tensors)
        if case["suite"] == "ops":
            self.run = self.op
        else:
            self.run = self.vocoder if case["suite"] == "vocoder" else self.layer

    @staticmethod
    def is_up(name):
        return name.startswith("ups.")

    def arrange(self, name, x, transposed):
        """torch's order to MLX's: [N, C, L] to [N, L, C], weights [O, C, K] and transposed ones [C, O, K] to [O, K, C]."""
        if self.case["suite"] == "ops" or x.ndim < 3:
            return x
        if name.endswith(("weight_v", "weight_g")) and (transposed or self.is_up(name)):
            return mx.contiguous(x.transpose(1, 2, 0))
        return mx.contiguous(mx.moveaxis(x, 1, -1))

    def weight(self, name):
        """w = g · v / ‖v‖, computed at each forward when live, else once."""
        if not self.live and name in self.folded:
            return self.folded[name]
        v, g = self.tensors[name + "weight_v"], self.tensors[name + "weight_g"]
        up = self.is_up(name) or self.case["family"] == "ConvTranspose1d"
        w = compiled_weight_norm[(0, 1) if up else tuple(range(1, v.ndim))](v, g)
        if not self.live:
            mx.eval(w)
            self.folded[name] = w
        return w

    def op(self):
        v = self.tensors["weight_v"]
        return compiled_weight_norm[tuple(range(1, v.ndim))](v, self.tensors["weight_g"])

    def layer(self):
        case, x, bias = self.case, self.tensors["x"], self.tensors["bias"]
        w = self.weight("")
        if case["family"] == "Linear":
            return mx.addmm(bias, x, w.T)
        stride, padding, dilation, groups = case["stride"], case["padding"], case["dilation"], case["groups"]
        if case["family"] == "ConvTranspose1d":
            return mx.conv_transpose1d(x, w, stride[0], padding[0], dilation[0], groups=groups) + bias
        if case["family"] == "Conv1d":
            return mx.conv1d(x, w, stride[0], padding[0], dilation[0], groups) + bias
        return mx.conv2d(x, w, tuple(stride), tuple(padding), tuple(dilation), groups) + bias

    def vocoder(self):
        """HiFi-GAN's generator (Kong et al. 2020)."""
        config = self.case["config"]
        kernels, dilations = config["resblock_kernel_sizes"], config["resblock_dilation_sizes"]
        x = self.conv("conv_pre", self.tensors["mel"])
        for stage, (rate, kernel) in enumerate(zip(config["upsample_rates"], config["upsample_kernel_sizes"])):
            name = f"ups.{stage}."
            x = mx.conv_transpose1d(leaky_relu(x, 0.1), self.weight(name), rate, (kernel - rate) // 2) + self.tensors[name + "bias"]
            blocks = [self.block(stage * len(kernels) + j, dilations[j], x) for j in range(len(kernels))]
            x = sum(blocks[1:], blocks[0]) / len(kernels)
        return mx.tanh(self.conv("conv_post", leaky_relu(x, 0.01)))

    def block(self, index, dilations, x):
        for d, dilation in enumerate(dilations):
            y = leaky_relu(x, 0.1)
            if self.case["config"]["resblock"] == "1":
                y = self.conv(f"resblocks.{index}.convs1.{d}", y, dilation)
                x = x + self.conv(f"resblocks.{index}.convs2.{d}", leaky_relu(y, 0.1))
            else:
                x = x + self.conv(f"resblocks.{index}.convs.{d}", y, dilation)
        return x

    def conv(self, name, x, dilation=1):
        w = self.weight(name + ".")
        return mx.conv1d(x, w, 1, (w.shape[1] - 1) * dilation // 2, dilation) + self.tensors[name + ".bias"]

    def time(self, repeats):
        """Seconds of `repeats` runs, evaluated together; a vocoder's waveform each time."""
        start = time.perf_counter()
        if self.case["suite"] == "vocoder":
            for _ in range(repeats):
                mx.eval(self.run())
        else:
            mx.eval([self.run() for _ in range(repeats)])
        return time.perf_counter() - start

    def output(self):
        """Values in torch's order."""
        y = self.run()
        if self.case["suite"] != "ops" and y.ndim > 2:
            y = mx.moveaxis(y, -1, 1)
        return y.reshape(-1).tolist()


loaded = {}


def answer(request):
    command = request["command"]
    if command == "hello":
        return {"version": version("mlx"), "device": "gpu" if "gpu" in str(mx.default_device()) else "cpu"}
    if command == "load":
        if request["variant"] == "backward":
            return {"unsupported": "MLX has no fused backward of weight norm"}
        loaded[request["id"]] = Case(request["case"], request["variant"], request["file"])
        return {}
    if command == "time":
        return {"seconds": loaded[request["id"]].time(request["repeats"])}
    if command == "output":
        values = loaded[request["id"]].output()
        with open(request["file"], "wb") as file:
            file.write(struct.pack(f"<{len(values)}f", *values))
        return {}
    del loaded[request["id"]]
    return {}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:  # the benchmark says what went wrong, and goes on
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
