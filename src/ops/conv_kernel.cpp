// SPDX-License-Identifier: Apache-2.0
#include "ops/conv_kernel.h"

#include <algorithm>
#include <cstring>

#include "device/cpu/gemm.h"
#include "ops/conv.h"

namespace tutti {
namespace {

constexpr int64_t kWindowBytes = 384
                                 << 10;  // of the windows a task works on: part of a second cache

// Sizes of a convolution seen in 3 dimensions of space; absent ones have extent 1.
struct Space {
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  int64_t in_stride[3] = {0, 0, 0};

  Space(const Conv& op, const Tensor& x, const Tensor& w, const Tensor& y) {
    const int rank = x.rank() - 2;
    for (int i = 0; i < rank; ++i) {
      const int at = 3 - rank + i;
      const auto k = static_cast<size_t>(i);
      in[at] = x.shape[i + 2], out[at] = y.shape[i + 2], kernel[at] = w.shape[i + 2];
      stride[at] = op.stride[k], padding[at] = op.padding_before[k], dilation[at] = op.dilation[k];
      in_stride[at] = x.strides[i + 2];
    }
  }
};

// A task is a run of output rows (of the last axis) of one image and one group.
class ConvKernel final : public Kernel {
 public:
  ConvKernel(const Conv& op, const KernelSpec& spec)
      : space_(op, spec.in[0], spec.in[1], spec.out[0]),
        x_(spec.in[0]),
        w_(spec.in[1]),
        y_(spec.out[0]),
        threads_(spec.threads),
        groups_(op.groups),
        element_(size_of(spec.in[0].dtype)) {
    channels_ = w_.shape[1];
    outputs_ = w_.shape[0] / groups_;
    taps_ = space_.kernel[0] * space_.kernel[1] * space_.kernel[2];
    rows_ = space_.out[0] * space_.out[1];
    const int64_t row_bytes = channels_ * taps_ * space_.out[2] * static_cast<int64_t>(element_);
    chunk_ = std::clamp<int64_t>(kWindowBytes / std::max<int64_t>(row_bytes, 1), 1, rows_);
    while (chunk_ > 1 && x_.shape[0] * groups_ * ((rows_ + chunk_ - 1) / chunk_) < threads_)
      chunk_ = (chunk_ + 1) / 2;
    chunks_ = (rows_ + chunk_ - 1) / chunk_;
    full_ = std::make_unique<cpu::Gemm>(problem(chunk_, spec), 1);
    const int64_t rest = rows_ - (chunks_ - 1) * chunk_;
    if (rest != chunk_) last_ = std::make_unique<cpu::Gemm>(problem(rest, spec), 1);
    scratch_ = full_->workspace_bytes();
    if (last_) scratch_ = std::max(scratch_, last_->workspace_bytes());
    scratch_ = (scratch_ + 63) / 64 * 64;
    window_bytes_ = (static_cast<size_t>(row_bytes * chunk_) + 63) / 64 * 64;
  }

  size_t workspace() const override {
    return (scratch_ + window_bytes_) * static_cast<size_t>(threads_);
  }

  void run(const KernelArgs& args) override {
    const int64_t tasks = x_.shape[0] * groups_ * chunks_;
    args.pool.parallel(tasks, [&](int64_t task, int thread) {
      char* scratch = static_cast<char*>(args.workspace) +
                      static_cast<size_t>(thread) * (scratch_ + window_bytes_);
      const int64_t chunk = task % chunks_, group = task / chunks_ % groups_;
      const int64_t image = task / chunks_ / groups_;
      multiply(args, image, group, chunk, scratch);
    });
  }

 private:
  // weights [outputs, channels * taps] x windows [channels * taps, positions]
  cpu::GemmProblem problem(int64_t rows, const KernelSpec& spec) const {
    cpu::GemmProblem p;
    p.m = outputs_;
    p.n = rows * space_.out[2];
    p.k = channels_ * taps_;
    p.a = {w_.dtype, w_.strides[0], 1, {}};
    p.b = {x_.dtype, p.n, 1, {}};
    cpu::GemmOutput out{p.n, {y_.dtype, y_.strides[1], 1, {}}, {}};
    if (spec.in.size() > 2)
      out.post_ops.push_back(cpu::PostOp::add(0, {spec.in[2].dtype, spec.in[2].strides[0], 0, {}}));
    p.outputs.push_back(std::move(out));
    return p;
  }

  void multiply(const KernelArgs& args, int64_t image, int64_t group, int64_t chunk,
                char* scratch) {
    const int64_t first = chunk * chunk_, rows = std::min(chunk_, rows_ - first);
    char* windows = scratch + scratch_;
    const char* x =
        args.in[0].as<char>() + (image * x_.strides[0] + group * channels_ * x_.strides[1]) *
                                    static_cast<int64_t>(element_);
    gather(x, first, rows, windows);
    const char* w =
        args.in[1].as<char>() + group * outputs_ * w_.strides[0] * static_cast<int64_t>(element_);
    void* y = args.out[0].as<char>() +
              (image * y_.strides[0] + group * outputs_ * y_.strides[1] + first * space_.out[2]) *
                  static_cast<int64_t>(element_);
    const void* bias = nullptr;
    if (args.in.size() > 2)
      bias = args.in[2].as<char>() +
             group * outputs_ * args.in[2].strides[0] * static_cast<int64_t>(element_);
    const cpu::Gemm& gemm = rows == chunk_ ? *full_ : *last_;
    gemm.run({w, windows, &y, &bias}, scratch, serial_);
  }

  // Row (channel, tap) of the windows holds what that tap sees at each position.
  void gather(const char* x, int64_t first, int64_t rows, char* windows) const {
    const int64_t positions = rows * space_.out[2];
    for (int64_t c = 0; c < channels_; ++c) {
      for (int64_t tap = 0; tap < taps_; ++tap) {
        const int64_t k2 = tap % space_.kernel[2], k1 = tap / space_.kernel[2] % space_.kernel[1];
        const int64_t k0 = tap / space_.kernel[2] / space_.kernel[1];
        char* row = windows + (c * taps_ + tap) * positions * static_cast<int64_t>(element_);
        for (int64_t r = first; r < first + rows; ++r) {
          const int64_t i0 =
              r / space_.out[1] * space_.stride[0] - space_.padding[0] + k0 * space_.dilation[0];
          const int64_t i1 =
              r % space_.out[1] * space_.stride[1] - space_.padding[1] + k1 * space_.dilation[1];
          const bool inside = i0 >= 0 && i0 < space_.in[0] && i1 >= 0 && i1 < space_.in[1];
          const char* line =
              x + (c * x_.strides[1] + i0 * space_.in_stride[0] + i1 * space_.in_stride[1]) *
                      static_cast<int64_t>(element_);
          copy_line(inside ? line : nullptr, k2 * space_.dilation[2] - space_.padding[2], row);
          row += space_.out[2] * static_cast<int64_t>(element_);
        }
      }
    }
  }

  // Elements shift, shift + stride, ... of an input line; zeros outside of it.
  void copy_line(const char* line, int64_t shift, char* to) const {
    const int64_t n = space_.out[2], stride = space_.stride[2], extent = space_.in[2];
    int64_t begin = 0, end = n;
    if (line == nullptr) {
      begin = end = n;
    } else {
      if (shift < 0) begin = std::min(n, (-shift + stride - 1) / stride);
      end = extent - shift <= 0 ? begin : std::min(n, (extent - 1 - shift) / stride + 1);
      end = std::max(begin, end);
    }
    std::memset(to, 0, static_cast<size_t>(begin) * element_);
    std::memset(to + static_cast<size_t>(end) * element_, 0,
                static_cast<size_t>(n - end) * element_);
    if (begin == end) return;
    const int64_t step = stride * space_.in_stride[2];
    const char* from =
        line + (shift + begin * stride) * space_.in_stride[2] * static_cast<int64_t>(element_);
    to += static_cast<size_t>(begin) * element_;
    if (step == 1)
      std::memcpy(to, from, static_cast<size_t>(end - begin) * element_);
    else if (element_ == 4)
      copy_steps<uint32_t>(from, to, end - begin, step);
    else
      copy_steps<uint16_t>(from, to, end - begin, step);
  }

  template <class T>
  static void copy_steps(const char* from, char* to, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; ++i)
      reinterpret_cast<T*>(to)[i] = reinterpret_cast<const T*>(from)[i * step];
  }

  Space space_;
  Tensor x_, w_, y_;  // layouts
  int threads_;
  int64_t groups_;
  size_t element_;
  int64_t channels_ = 0, outputs_ = 0, taps_ = 1, rows_ = 1, chunk_ = 1, chunks_ = 1;
  std::unique_ptr<cpu::Gemm> full_, last_;
  size_t scratch_ = 0, window_bytes_ = 0;
  cpu::Pool serial_{1};  // a task multiplies alone
};

}  // namespace

std::unique_ptr<Kernel> prepare_conv(const KernelSpec& spec) {
  const auto& op = *spec.op.as<Conv>();
  const DType t = spec.in[0].dtype;
  if (op.transposed || (t != DType::f32 && t != DType::bf16 && t != DType::f16)) return nullptr;
  if (spec.out[0].elements() == 0 || spec.in[1].elements() == 0) return nullptr;
  // Weights and an output's space must be dense for the two matrices to be.
  const Tensor &w = spec.in[1], &y = spec.out[0];
  int64_t dense = 1;
  for (int axis = w.rank() - 1; axis >= 1; --axis) {
    if (w.shape[axis] != 1 && w.strides[axis] != dense) return nullptr;
    dense *= w.shape[axis];
  }
  dense = 1;
  for (int axis = y.rank() - 1; axis >= 2; --axis) {
    if (y.shape[axis] != 1 && y.strides[axis] != dense) return nullptr;
    dense *= y.shape[axis];
  }
  return std::make_unique<ConvKernel>(op, spec);
}

}  // namespace tutti
