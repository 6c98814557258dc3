// SPDX-License-Identifier: Apache-2.0
#include "ops/pool.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

// For each axis and each output index: the input indices under the window, and the extent that the
// mean divides by.
struct Window {
  std::vector<int64_t> inputs;
  double extent;
};
using AxisWindows = std::vector<Window>;

AxisWindows windows(const Pool& op, size_t axis, int64_t in) {
  // Windows are laid out until one begins beyond x and the border in front of it.
  const int64_t k = op.kernel[axis], s = op.stride[axis], p = op.padding[axis],
                d = op.dilation[axis];
  AxisWindows list;
  for (int64_t start = -p; start < in; start += s) {
    const int64_t end = start + d * (k - 1) + 1;
    if (end > in + p && !op.ceil) break;
    Window window;
    for (int64_t j = 0; j < k; ++j)
      if (start + j * d >= 0 && start + j * d < in) window.inputs.push_back(start + j * d);
    window.extent = static_cast<double>(op.count_padding ? std::min(end, in + p) - start
                                                         : window.inputs.size());
    list.push_back(window);
    if (end >= in + p) break;
  }
  return list;
}

AxisWindows adaptive_windows(int64_t in, int64_t out) {
  AxisWindows list;
  for (int64_t o = 0; o < out; ++o) {
    Window window;
    for (int64_t i = 0; i < in; ++i)  // [i, i + 1) and [o * in / out, (o + 1) * in / out) overlap
      if ((i + 1) * out > o * in && i * out < (o + 1) * in) window.inputs.push_back(i);
    window.extent = static_cast<double>(window.inputs.size());
    list.push_back(window);
  }
  return list;
}

struct Pooled {
  Dims shape;
  Values max, index, mean;
};

// x [planes, depth, height, width].
Pooled pooled(const Values& x, const std::array<int64_t, 4>& in,
              const std::array<AxisWindows, 3>& w, double divisor) {
  Pooled result;
  for (int64_t plane = 0; plane < in[0]; ++plane)
    for (const Window& d : w[0])
      for (const Window& h : w[1])
        for (const Window& c : w[2]) {
          double max = -kInf, index = -1, sum = 0;
          for (int64_t i : d.inputs)
            for (int64_t j : h.inputs)
              for (int64_t k : c.inputs) {
                const int64_t place = (i * in[2] + j) * in[3] + k;
                const double value = x[static_cast<size_t>(plane * in[1] * in[2] * in[3] + place)];
                sum += value;
                if (index >= 0 && !(value > max) && !std::isnan(value)) continue;
                max = value;
                index = static_cast<double>(place);
              }
          result.max.push_back(max);
          result.index.push_back(index);
          result.mean.push_back(sum / (divisor != 0 ? divisor : d.extent * h.extent * c.extent));
        }
  return result;
}

template <class Op, class F>
Pooled pooled(const Op& op, const Tensor& x, size_t space, const F& windows_of) {
  std::array<int64_t, 4> in{1, 1, 1, 1};
  std::array<AxisWindows, 3> w{AxisWindows{{{0}, 1}}, {{{0}, 1}}, {{{0}, 1}}};
  const int lead = x.rank() - static_cast<int>(space);
  Dims shape = x.shape;
  for (int i = 0; i < lead; ++i) in[0] *= x.shape[i];
  for (size_t i = 0; i < space; ++i) {
    in[4 - space + i] = x.shape[lead + static_cast<int>(i)];
    w[3 - space + i] = windows_of(i, in[4 - space + i]);
    shape[lead + static_cast<int>(i)] = static_cast<int64_t>(w[3 - space + i].size());
  }
  double divisor = 0;
  if constexpr (std::is_same_v<Op, Pool>) divisor = static_cast<double>(op.divisor);
  Pooled result = pooled(values_of(x), in, w, divisor);
  result.shape = shape;
  return result;
}

void expect_pooled(const Op& op, const std::string& fn, const Tensor& x, const Pooled& wanted) {
  const std::vector<Tensor> y = run_op(op, {x});
  EXPECT_EQ(y[0].shape, wanted.shape);
  expect_in_all_layouts(op, {x}, fn == "max" ? wanted.max : wanted.mean,
                        fn == "max" ? 0 : rounding_of(x.dtype));
  ASSERT_EQ(y.size(), fn == "max" ? 2u : 1u);
  for (int layout = 0; fn == "max" && layout < kLayouts; ++layout) {
    const Tensor index = run_op(op, {in_layout(x, layout)}, 3 - layout)[1];
    EXPECT_EQ(index.dtype, DType::i64);
    expect_values(index, wanted.index);
  }
}

void check(const Pool& op, const Tensor& x) {
  SCOPED_TRACE(testing::Message() << op.fn << " " << to_string(x.shape) << " kernel "
                                  << join_list(op.kernel));
  expect_pooled(op, op.fn, x, pooled(op, x, op.kernel.size(), [&](size_t i, int64_t in) {
                  return windows(op, i, in);
                }));
}

void check(const AdaptivePool& op, const Tensor& x) {
  SCOPED_TRACE(testing::Message() << op.fn << " adaptive " << to_string(op.size));
  expect_pooled(op, op.fn, x, pooled(op, x, op.size.size(), [&](size_t i, int64_t in) {
                  return adaptive_windows(in, op.size[i].value());
                }));
}

TEST(Pool, FollowsItsDefinitionInOneToThreeDimensions) {
  for (const char* fn : {"max", "avg"})
    for (bool ceil : {false, true})
      for (bool count : {false, true}) {
        check({fn, {3}, {2}, {1}, {1}, ceil, count}, random_tensor(DType::f32, {2, 3, 150}, 1));
        check({fn, {3, 2}, {2, 3}, {1, 0}, {1, 1}, ceil, count},
              random_tensor(DType::f32, {2, 3, 6, 9}, 2));
        check({fn, {2, 3, 4}, {1, 2, 3}, {1, 1, 2}, {1, 1, 1}, ceil, count},
              random_tensor(DType::f32, {2, 3, 5, 6}, 3));
        check({fn, {2, 2}, {3, 3}, {0, 0}, {1, 1}, ceil, count},
              random_tensor(DType::f32, {1, 7, 7}, 4));
      }
}

TEST(Pool, DilatesMax) {
  check({"max", {3, 2}, {1, 2}, {2, 1}, {2, 3}}, random_tensor(DType::f32, {2, 8, 9}, 5));
}

TEST(Pool, ComputesEveryType) {
  for (DType dtype : kAllDTypes) {
    if (dtype == DType::boolean) continue;
    SCOPED_TRACE(to_string(dtype));
    const Tensor x = random_tensor(dtype, {3, 5, 6}, 6);
    check({"max", {2, 3}, {1, 2}, {1, 1}, {1, 1}}, x);
    if (is_float(dtype)) check({"avg", {2, 3}, {1, 2}, {1, 1}, {1, 1}}, x);
  }
}

TEST(Pool, HandlesManyChannelsThatAreContiguous) {
  Tensor x = random_tensor(DType::f32, {2, 5, 6, 130}, 7);
  x.shape = {2, 130, 5, 6};
  x.strides = {5 * 6 * 130, 1, 6 * 130, 130};
  for (const char* fn : {"max", "avg"}) {
    const Pool op{fn, {3, 3}, {2, 2}, {1, 1}, {1, 1}};
    const Values wanted = values_of(run_op(op, {contiguous(x)})[0]);
    Tensor y = Tensor::zeros(DType::f32, {2, 3, 3, 130});
    y.shape = {2, 130, 3, 3};
    y.strides = {3 * 3 * 130, 1, 3 * 130, 130};
    Tensor index = Tensor::zeros(DType::i64, y.shape);
    const std::vector<Tensor> in{x};
    std::vector<Tensor> out{y};
    if (op.fn == "max") out.push_back(index);
    cpu::Pool pool(2);
    op.cpu({in, out, nullptr, pool});
    expect_values(y, wanted);
    if (op.fn == "max") expect_values(index, values_of(run_op(op, {contiguous(x)})[1]));
  }
}

TEST(Pool, GivesPyTorchsNumbers) {
  const Tensor line = tensor_of(DType::f32, {1, 1, 7}, {1, 5, 2, 8, 3, 7, 4});
  const auto avg = [&](int64_t kernel, int64_t stride, int64_t padding, bool count) {
    return run_op(Pool{"avg", {kernel}, {stride}, {padding}, {1}, true, count}, {line})[0];
  };
  expect_values(avg(3, 2, 1, true), {2, 5, 6, 11.0 / 3}, 1e-6);
  expect_values(avg(3, 2, 1, false), {3, 5, 6, 5.5}, 1e-6);
  expect_values(avg(3, 3, 1, true), {2, 13.0 / 3, 11.0 / 3}, 1e-6);
  expect_values(avg(4, 3, 0, true), {4, 5.5}, 1e-6);
  Values counted(20);
  for (size_t i = 0; i < 20; ++i) counted[i] = static_cast<double>(i + 1);
  const Tensor x = tensor_of(DType::f32, {1, 1, 4, 5}, counted);
  const auto max = run_op(Pool{"max", {2, 3}, {2, 2}, {1, 1}, {1, 1}, true}, {x});
  expect_values(max[0], {2, 4, 5, 12, 14, 15, 17, 19, 20});
  expect_values(max[1], {1, 3, 4, 11, 13, 14, 16, 18, 19});
  expect_values(run_op(Pool{"avg", {2, 2}, {2, 2}, {1, 1}, {1, 1}, true, true, 3}, {x})[0],
                {1.0 / 3, 5.0 / 3, 3, 17.0 / 3, 40.0 / 3, 16, 16.0 / 3, 35.0 / 3, 13}, 1e-6);
}

TEST(Pool, PropagatesNanAndNamesTheLastOne) {
  const Tensor x = tensor_of(DType::f32, {1, 4}, {1, kNan, kNan, 7});
  const auto y = run_op(Pool{"max", {4}, {4}, {0}, {1}}, {x});
  expect_values(y[0], {kNan});
  expect_values(y[1], {2});
}

TEST(Pool, NamesTheFirstOfEqualElements) {
  const Tensor x = tensor_of(DType::f32, {1, 4}, {-kInf, -kInf, 3, 3});
  const auto y = run_op(Pool{"max", {2}, {2}, {0}, {1}}, {x});
  expect_values(y[0], {-kInf, 3});
  expect_values(y[1], {0, 2});
}

TEST(Pool, AcceptsALeadWithoutElements) {
  const Pool op{"max", {2}, {2}, {0}, {1}};
  EXPECT_EQ(run_op(op, {Tensor::zeros(DType::f32, {0, 3, 4})})[0].shape, Dims({0, 3, 2}));
}

TEST(Pool, NamesWhatDoesNotFit) {
  const auto infer = [](Pool op, TensorType x) {
    return [=] { Op(op).infer(std::vector<TensorType>{x}); };
  };
  const TensorType x{DType::f32, {3, 8}};
  expect_error(infer({"sum", {2}, {2}, {0}, {1}}, x), {"pool: fn is sum", "max or avg"});
  expect_error(infer({"max", {2}, {2}, {2}, {1}}, x), {"padding is [2]", "half"});
  expect_error(infer({"max", {2}, {0}, {0}, {1}}, x), {"stride is [0]"});
  expect_error(infer({"max", {2}, {2, 2}, {0}, {1}}, x), {"stride is [2, 2]", "1 numbers"});
  expect_error(infer({"max", {9}, {1}, {0}, {1}}, x), {"x is f32[3, 8]", "[9]", "extent 0"});
  expect_error(infer({"avg", {2}, {1}, {0}, {2}}, x), {"dilation is [2]", "avg"});
  expect_error(infer({"avg", {2}, {1}, {0}, {1}}, {DType::i32, {3, 8}}), {"x is i32", "float"});
  expect_error(infer({"max", {2, 2, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}}, x), {"rank 3"});
  expect_error(infer({"max", {}, {}, {}, {}}, x), {"0 axes"});
}

TEST(Pool, GivesTheSameExtentsForSymbols) {
  const Dim s = Dim::symbol("s");
  for (bool ceil : {false, true})
    for (int64_t kernel : {1, 2, 3, 5})
      for (int64_t stride : {1, 2, 3, 7}) {
        const Pool op{"max", {kernel}, {stride}, {kernel / 2}, {1}, ceil};
        const Dim out = op.infer(std::vector<TensorType>{{DType::f32, {s}}})[0].shape[0];
        for (int64_t in = kernel; in < 20; ++in)
          EXPECT_EQ(out.evaluate({{"s", in}}), static_cast<int64_t>(windows(op, 0, in).size()))
              << ceil << kernel << stride << in;
      }
}

TEST(AdaptivePool, FollowsItsDefinitionInOneToThreeDimensions) {
  for (const char* fn : {"max", "avg"}) {
    for (int64_t out : {1, 2, 3, 5, 7, 11})
      check(AdaptivePool{fn, {out}}, random_tensor(DType::f32, {2, 3, 7}, 8));
    check(AdaptivePool{fn, {3, 4}}, random_tensor(DType::f32, {2, 3, 7, 5}, 9));
    check(AdaptivePool{fn, {2, 1, 5}}, random_tensor(DType::f32, {2, 3, 4, 5}, 10));
  }
}

TEST(AdaptivePool, ComputesEveryType) {
  for (DType dtype : kAllDTypes) {
    if (dtype == DType::boolean) continue;
    SCOPED_TRACE(to_string(dtype));
    const Tensor x = random_tensor(dtype, {3, 5, 7}, 11);
    check(AdaptivePool{"max", {2, 3}}, x);
    if (is_float(dtype)) check(AdaptivePool{"avg", {2, 3}}, x);
  }
}

TEST(AdaptivePool, GivesPyTorchsNumbers) {
  const Tensor line = tensor_of(DType::f32, {1, 1, 7}, {1, 5, 2, 8, 3, 7, 4});
  expect_values(run_op(AdaptivePool{"avg", {3}}, {line})[0], {8.0 / 3, 13.0 / 3, 14.0 / 3}, 1e-6);
  const auto max = run_op(AdaptivePool{"max", {3}}, {line});
  expect_values(max[0], {5, 8, 7});
  expect_values(max[1], {1, 3, 5});
}

TEST(AdaptivePool, AcceptsTensorsWithoutElements) {
  EXPECT_EQ(run_op(AdaptivePool{"avg", {2}}, {Tensor::zeros(DType::f32, {0, 4})})[0].shape,
            Dims({0, 2}));
  EXPECT_EQ(run_op(AdaptivePool{"max", {0, 2}}, {Tensor::zeros(DType::f32, {3, 4, 4})})[1].shape,
            Dims({3, 0, 2}));
}

TEST(AdaptivePool, NamesWhatDoesNotFit) {
  const auto infer = [](AdaptivePool op, TensorType x) {
    return [=] { Op(op).infer(std::vector<TensorType>{x}); };
  };
  expect_error(infer({"min", {2}}, {DType::f32, {3, 8}}), {"adaptive_pool: fn is min"});
  expect_error(infer({"avg", {2}}, {DType::f32, {3, 0}}), {"x is f32[3, 0]", "at least 1"});
  expect_error(infer({"avg", {-2}}, {DType::f32, {3, 8}}), {"size is [-2]"});
  expect_error(infer({"avg", {2}}, {DType::i64, {3, 8}}), {"x is i64", "float"});
  const Dim s = Dim::symbol("s");
  EXPECT_EQ((AdaptivePool{"avg", {2}}.infer(std::vector<TensorType>{{DType::f32, {s, s}}})[0]),
            (TensorType{DType::f32, {s, 2}}));
}

}  // namespace
}  // namespace tutti
