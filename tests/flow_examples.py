"""Texts that use all of the language, for the tests of its syntax."""

PERCEPTRON = """\
# Fashion-MNIST with a two-layer perceptron.
hyper hidden: int = 128 in 16..4096

model fashion_mlp {
  input image: u8[batch, 28, 28]
  input label: i32[batch]

  pixels = cast(image, f32) / 255
  logits = pixels |> flatten |> dense(hidden) |> relu |> dense(10)

  loss                 = mean(cross_entropy(logits, label))
  metric accuracy      = mean(argmax(logits) == label)
  output probabilities = softmax(logits)
}

data train = idx("data/train-images.gz", "data/train-labels.gz") -> (image, label)
data test  = idx("data/test-images.gz",  "data/test-labels.gz")  -> (image, label)

train {
  data      = train |> shuffle
  validate  = test
  batch     = 128
  epochs    = 5
  optimizer = adam(lr = 1e-3)
  seed      = 7
}
"""

GPT = """\
hyper d: int = 128
hyper heads: int = 4
hyper layers: int = 4

block attention(x: f32[batch, time, d], heads: int) -> f32[batch, time, d] {
  assert d % heads == 0, "heads must divide the width"
  q, k, v = x |> dense(3 * d, bias = false) |> split(3, axis = -1)
  split_heads(t) = t |> reshape([batch, time, heads, d / heads]) |> transpose(1, 2)
  scores  = split_heads(q) @ transpose(split_heads(k), -1, -2) / sqrt(d / heads)
  weights = softmax(causal_mask(scores))
  return weights @ split_heads(v) |> transpose(1, 2) |> reshape([batch, time, d]) |> dense(d)
}

model gpt {
  input tokens: i32[batch, time = 64]
  input target: i32[batch, time]

  layer embed = embedding(rows = 96, width = d)       # an instance: used twice
  x = embed(tokens) + position_embedding(time, d)
  repeat layers as i {
    x = x + attention(layer_norm(x), heads)
    x = x + (layer_norm(x) |> dense(4 * d) |> gelu |> dense(d))
  }
  logits = layer_norm(x) @ transpose(embed.table)
  loss   = mean(cross_entropy(logits, target))
}
"""

BATCH_NORM = """\
block batch_norm(x: f32[..., c], momentum: float = 0.9, eps: float = 1e-5) -> f32[..., c] {
  param scale: f32[c] = ones
  param shift: f32[c] = zeros
  state mean_seen: f32[c] = zeros
  state var_seen:  f32[c] = ones
  if training {
    mu, var = moments(x, over = "...")                    # over all but the last dimension
    next mean_seen = momentum * mean_seen + (1 - momentum) * mu
    next var_seen  = momentum * var_seen  + (1 - momentum) * var
  } else {
    mu, var = mean_seen, var_seen
  }
  return (x - mu) / sqrt(var + eps) * scale + shift
}
"""

RECURRENCE = """\
model lstm {
  hidden = scan x over time as xt carry (h = zeros([batch, n]), c = zeros([batch, n])) {
    h, c = lstm_cell(xt, h, c)
    yield h
  }
  both = scan (x, mask) over time reversed as (xt, mt) { yield where(mt, xt, 0) }
}

optimizer adam(lr: schedule = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) {
  state m = zeros_like(param)
  state v = zeros_like(param)
  first  = beta1 * m + (1 - beta1) * grad
  second = beta2 * v + (1 - beta2) * grad * grad
  next m = first
  next v = second
  next param = param - lr * (first / (1 - beta1 ^ step)) / (sqrt(second / (1 - beta2 ^ step)) + eps)
}
schedule cosine(peak: float, n: int) { return peak * 0.5 * (1 + cos(pi * min(step / n, 1))) }
"""

PARAMETER_SERVERS = """\
place {
  replicate over worker                  # data parallel: one replica on each worker device
  variables over ps by bytes             # parameters live on the ps tasks, spread by size
  shard embed.table axis 0 over ps       # and this one is split
  sync = backup(1)                       # synchronous, take the first N-1 gradients
}
"""

PIPELINE = """\
place {
  stage on gpu:0 { stem, mixed_0..mixed_4 }
  stage on gpu:1 { mixed_5.. , head }
  pipeline microbatches = 8
}
"""

IMPORTS = """\
flow 1
import "vision.flow" (inception_v3, conv_bn as conv)
import std.vision (resize)

hyper kind: str = "relu" in ["relu", "gelu"]

block both(x, f: function = relu, y: bool[n]) -> (f32[n], t[..., n = 3]) {
  left = x[:, 0, 1:2, ::2, i + 1 :]
  if kind == "relu" and not deep or n >= 3 { left = f(left) } else if n != 2 { } else { left = x }
  output left
  return left, -x ^ -2 ^ n % 3 // 4
}

train {
  freeze = "**" except "head.**"
  init   = "weights.safetensors"
}
"""

ALL = (PERCEPTRON, GPT, BATCH_NORM, RECURRENCE, PARAMETER_SERVERS, PIPELINE, IMPORTS)
