// SPDX-License-Identifier: Apache-2.0
#include "ops/gather.h"

#include <atomic>

#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/infer.h"

namespace tutti {
namespace {

Shape broadcast_indices(Types indices) {
  Shape shape;
  for (const TensorType& index : indices) {
    require_index("index", index);
    shape = broadcast(shape, index.shape);
  }
  return shape;
}

std::vector<TensorType> infer_picked(const std::vector<int64_t>& axes, Types in) {
  require_axes(axes, "x", in[0]);
  TensorType y{in[0].dtype, indexed_shape(in[0].shape, axes, broadcast_indices(in.subspan(1)))};
  require_rank("y", y, 0);
  return {y};
}

void pick(std::string_view op, std::span<const int64_t> axes, const KernelArgs& args) {
  const Tensor &x = args.in[0], &y = args.out[0];
  const std::span<const Tensor> indices = args.in.subspan(1);
  const Dims index = broadcast_dims(indices);
  const Picks picks = make_picks(op, x, axes, indices, index, y.strides, args.workspace);
  with_word(x.dtype, [&](auto word) {
    using Word = decltype(word);
    const auto* from = x.as<const Word>();
    auto* to = y.as<Word>();
    for_each_pick(args.pool, picks, false,
                  [=](int64_t at, int64_t out, int64_t n, int64_t step, int64_t out_step) {
                    if (n == 1)
                      to[out] = from[at];
                    else
                      copy_row(from + at, step, to + out, out_step, n);
                  });
  });
}

}  // namespace

std::vector<TensorType> Take::infer(Types in) const {
  require_operands(in, 2, 2);
  return infer_picked({axis}, in);
}

size_t Take::workspace(Types in) const { return picks_workspace(constant_dims(in[1].shape)); }

void Take::cpu(const KernelArgs& args) const { pick(kName, {&axis, 1}, args); }

std::vector<TensorType> Index::infer(Types in) const {
  require_argument(!axes.empty(), "no axes are listed; at least one is wanted");
  require_operands(in, axes.size() + 1, axes.size() + 1);
  return infer_picked(axes, in);
}

size_t Index::workspace(Types in) const {
  return picks_workspace(constant_dims(broadcast_indices(in.subspan(1))));
}

void Index::cpu(const KernelArgs& args) const { pick(kName, axes, args); }

std::vector<TensorType> Gather::infer(Types in) const {
  require_operands(in, 2, 2);
  const TensorType &x = in[0], &index = in[1];
  require_index("index", index);
  require_rank("index", index, x.rank(), x.rank());
  require_axis(axis, "x", x);
  for (size_t i = 0; i < x.shape.size(); ++i)
    require_argument(static_cast<int64_t>(i) == axis || !x.shape[i].is_constant() ||
                         !index.shape[i].is_constant() ||
                         index.shape[i].value() <= x.shape[i].value(),
                     "index is ", index, "; extents not larger than those of x, ", x,
                     ", are wanted but on axis ", axis);
  return {{x.dtype, index.shape}};
}

void Gather::cpu(const KernelArgs& args) const {
  const Tensor &x = args.in[0], &index = args.in[1], &y = args.out[0];
  const int along = static_cast<int>(axis);
  const int64_t extent = x.shape[along], stride = x.strides[along];
  Dims shape = index.shape, x_strides = x.strides;
  x_strides[along] = 0;
  std::array<Dims, 3> strides{x_strides, index.strides, y.strides};
  collapse(shape, strides);
  std::atomic<int64_t> outside{0};
  std::atomic<bool> failed{false};
  with_word(x.dtype, [&](auto word) {
    with_index(index.dtype, [&](auto zero) {
      using Word = decltype(word);
      using I = decltype(zero);
      parallel_pieces(args.pool, shape, strides, -1, [&](const Dims& part, const auto& start) {
        const Word* from = x.as<const Word>() + start[0];
        const I* indices = index.as<const I>() + start[1];
        Word* to = y.as<Word>() + start[2];
        for_each_row(part, strides, [&](const auto& at, int64_t n, const auto& steps) {
          const Word* row = from + at[0];
          for (int64_t i = 0; i < n; ++i) {
            const int64_t found = indices[at[1] + i * steps[1]];
            const int64_t wrapped = wrap_index(found, extent);
            if (wrapped < 0) [[unlikely]] {
              outside = found;
              failed = true;
              return;
            }
            to[at[2] + i * steps[2]] = row[i * steps[0] + wrapped * stride];
          }
        });
      });
    });
  });
  if (failed) fail_index(kName, outside, axis, extent);
}

}  // namespace tutti
