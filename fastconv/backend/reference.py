"""The truth: every table function in plain NumPy or CuPy, as its formula reads.

xp is numpy or cupy, taken from the arrays. Arrays are contiguous, activations NHWC, weights OHWI. Every
function writes into the arrays it is given (`y`, `gx`, ...). float32 and float64 are computed in their own
precision; float16 and bfloat16 are computed in float32 and rounded once at the end.
This file is the kernel table: backend/cpu.py and backend/cuda.py have the same functions with the same
signatures (a test compares them).
"""

NAME = "reference"

# ---- memory

def empty(shape, dtype, xp=numpy):
    """Uninitialised contiguous array."""

# ---- convolution; direction is "fwd", "dgrad" or "wgrad"

def conv2d_algorithms(problem, direction, dtype):
    """Names of the algorithms that fit, best first. The reference has one: "reference" """

def conv2d_choose(problem, direction, dtype, precision):
    """Pure and cached: the algorithm for this problem; precision "ieee", "default" or "tf32"."""

def conv2d_workspace(problem, direction, algorithm, dtype):
    """Bytes of scratch memory that the kernel needs beside its arguments (an int)."""

def conv2d_fwd(x, w, y, problem, algorithm, workspace, epilogue=NO_EPILOGUE, prologue=None):
    """y = epilogue(conv(prologue(x), w)).
    workspace: uint8 array of conv2d_workspace(...) bytes or None where that is 0."""

def conv2d_dgrad(gy, w, gx, problem, algorithm, workspace):
    """gx[n,h,w,c] = sum over (p,q,r,s,k) that touch it of gy[n,p,q,k] * w[k,r,s,c]."""

def conv2d_wgrad(x, gy, gw, problem, algorithm, workspace, prologue=None):
    """gw[k,r,s,c] = sum_{n,p,q} gy[n,p,q,k] * prologue(x)[n, p*stride+r*dilation-pad, ...]."""

# ---- matrix product

def gemm_workspace(m, n, k, dtype): ...

def gemm(a, b, c, trans_a, trans_b, workspace, epilogue=NO_EPILOGUE):
    """c (m,n) = epilogue(op(a) (m,k) @ op(b) (k,n)); 2-D; a is (k,m) if trans_a, b is (n,k) if trans_b.
    epilogue scale and shift run along n."""

# ---- per-channel reductions (over every axis but the last; order fixed by the shape alone)

def channel_sum(x, y):
    """y[c] = sum x[..., c]   (bias gradients)"""

def channel_stats(x, sums):
    """sums[0,c] = sum x, sums[1,c] = sum x^2; float64 (2, C), accumulated in float64."""

# ---- pooling

def max_pool2d_fwd(x, y, argmax, problem):
    """argmax: None, or array of y's shape that receives r*S+s of the first maximum in row order
    (uint8 if r*s <= 256, else int32). NaN wins, as in NumPy. Padding never wins."""

def max_pool2d_bwd(gy, argmax, gx, problem): ...

def avg_pool2d_fwd(x, y, problem, count_include_pad):
    """Divisor: the window clipped to the padded input (count_include_pad) or to the input, as torch does
    with ceil_mode."""

def avg_pool2d_bwd(gy, gx, problem, count_include_pad): ...

def adaptive_avg_pool2d_fwd(x, y):
    """Window of output p: rows floor(p*H/P) .. ceil((p+1)*H/P). P = Q = 1 is global average pooling."""

def adaptive_avg_pool2d_bwd(gy, gx): ...

def adaptive_max_pool2d_fwd(x, y, argmax):
    """argmax: None or int32 array of y's shape: h*W + w of the first maximum."""

def adaptive_max_pool2d_bwd(gy, argmax, gx): ...

# ---- norms

def batch_norm_prepare(sums, count, mean, rstd, running_mean, running_var, momentum, eps):
    """mean = sums[0]/count; biased var = sums[1]/count - mean^2 (float64, not below 0); rstd = 1/sqrt(var+eps).
    Where running_mean/var are not None they are updated in place: (1-momentum)*old + momentum*new, with the
    unbiased variance var*count/(count-1) (count 1: the biased one)."""

def batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act):
    """y = act((x - mean) * (gamma*rstd) + beta + residual); gamma, beta, residual may be None."""

def batch_norm_bwd(gy, x, y, residual, gamma, beta, mean, rstd, act, training, gx, ggamma, gbeta, gresidual):
    """gz = gy * act'(.) from y where act.saves == "y" (x then None only if not needed), else from the
    recomputed pre-activation. gbeta = sum gz; ggamma = sum gz*xhat;
    training: gx = gamma*rstd*(gz - gbeta/m - xhat*ggamma/m); else gx = gamma*rstd*gz; gresidual = gz.
    Outputs that are None are not wanted; gx may not be gy."""

def layer_norm_fwd(x, gamma, beta, y, mean, rstd, eps):
    """Over the last axis of the 2-D x (rows, C); mean, rstd (rows,)."""

def layer_norm_bwd(gy, x, gamma, mean, rstd, gx, ggamma, gbeta): ...

def lrn_fwd(x, y, scale, size, alpha, beta, k):
    """scale[c] = k + alpha * sum_{c-size//2 <= j <= c+(size-1)//2} x[j]^2;  y = x * scale^-beta.
    alpha multiplies the plain sum (torch's alpha is size times larger). scale may be None."""

def lrn_bwd(gy, x, scale, gx, size, alpha, beta): ...

# ---- element-wise

def activation_fwd(x, y, act): ...
def activation_bwd(gy, saved, gx, act):
    """saved is y or x, as act.saves says."""
def add(a, b, y, act):
    """y = act(a + b), equal shapes."""
def dropout(x, y, p, seed, offset, group):
    """y[i] = x[i] / (1-p) if uniform(seed, offset, i // group) >= p else 0 (philox.py). Its own gradient."""
def channel_shuffle(x, y, groups):
    """y[..., i*groups + g] = x[..., g*(C/groups) + i]."""
def scale_channels_fwd(x, s, y):
    """x (N,H,W,C), s (N,1,1,C): y = x * s   (squeeze-and-excitation)"""
def scale_channels_bwd(gy, x, s, gx, gs):
    """gx = gy*s, gs = sum_{h,w} gy*x; None where not wanted."""

# ---- resize

def resize_fwd(x, y, mode, align_corners):
    """mode "nearest" (src = floor(dst * H/P)) or "bilinear" (half-pixel centres, or align_corners), as torch."""
def resize_bwd(gy, gx, mode, align_corners): ...

# ---- softmax and losses; rows x classes, 2-D. reduction is "none", "sum" or "mean"

def softmax_fwd(x, y, log): ...
def softmax_bwd(gy, y, gx, log): ...
def cross_entropy_fwd(logits, labels, loss, lse, smoothing, reduction):
    """lse (rows,) log-sum-exp, saved; row loss = lse - (1-smoothing)*logit[label] - smoothing*mean(logits).
    loss is () or, for "none", (rows,)."""
def cross_entropy_bwd(gloss, logits, labels, lse, glogits, smoothing, reduction): ...
def bce_with_logits_fwd(x, t, loss, reduction):
    """max(x,0) - x*t + log(1 + exp(-|x|)); any shape, equal for x and t."""
def bce_with_logits_bwd(gloss, x, t, gx, reduction): ...
def mse_fwd(x, t, loss, reduction): ...
def mse_bwd(gloss, x, t, gx, reduction):
    """The gradient by t is its negative."""

# ---- optimizer steps over lists of arrays (in place)

def sgd_step(params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, first):
    """As torch: g += weight_decay*p; buf = g if first else momentum*buf + (1-dampening)*g;
    g = g + momentum*buf if nesterov else buf; p -= lr*g. momenta is None where momentum is 0."""
def adam_step(params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, decoupled, step):
    """As torch's Adam (decoupled False: g += weight_decay*p) and AdamW (True: p *= 1 - lr*weight_decay);
    step counts from 1; denominator sqrt(v)/sqrt(1-beta2^step) + eps."""
