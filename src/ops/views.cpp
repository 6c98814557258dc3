// SPDX-License-Identifier: Apache-2.0
#include "ops/views.h"

#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/view_layout.h"

namespace tutti {
namespace {

/// False only when the difference of two extents is known and not 0.
bool may_be_equal(const Dim& a, const Dim& b) {
  const Dim difference = a - b;
  return !difference.is_constant() || difference == Dim(0);
}

/// False only when a number is known and negative.
bool may_be_natural(const Dim& a) { return !a.is_constant() || a.value() >= 0; }

/// `tensor`'s memory seen through a layout.
Tensor view(const Tensor& tensor, const ViewLayout& layout) {
  const int64_t bytes = layout.offset * static_cast<int64_t>(size_of(tensor.dtype));
  return {tensor.as<std::byte>() + bytes, tensor.dtype, layout.shape, layout.strides, nullptr};
}

Tensor view_dense(const Tensor& tensor, const Dims& shape) {
  return view(tensor, {shape, contiguous_strides(shape)});
}

template <class T>
void copy_view(const T& op, const KernelArgs& args) {
  const Tensor& x = args.in[0];
  copy_tensor(args.pool, view(x, view_layout(op, x.shape, x.strides)), args.out[0]);
}

}  // namespace

std::vector<TensorType> Reshape::infer(Types in) const {
  require_operands(in, 1, 1);
  for (const Dim& extent : shape)
    require_argument(may_be_natural(extent), "shape is ", shape,
                     "; extents of at least 0 are wanted");
  require_argument(may_be_equal(elements(in[0].shape), elements(shape)), "x is ", in[0], " of ",
                   elements(in[0].shape), " elements; the ", elements(shape), " elements of ",
                   shape, " are wanted");
  return {{in[0].dtype, shape}};
}

void Reshape::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  if (x.is_contiguous()) {
    copy_tensor(args.pool, view_dense(x, y.shape), y);
  } else if (y.is_contiguous()) {
    copy_tensor(args.pool, x, view_dense(y, x.shape));
  } else {
    with_word(x.dtype, [&](auto word) {
      using Word = decltype(word);
      for (int64_t i = 0, n = x.elements(); i < n; ++i)
        y.as<Word>()[offset_at(i, y.shape, y.strides)] =
            x.as<const Word>()[offset_at(i, x.shape, x.strides)];
    });
  }
}

std::vector<TensorType> Permute::infer(Types in) const {
  require_operands(in, 1, 1);
  const TensorType& x = in[0];
  std::vector<bool> used(x.shape.size());
  bool good = axes.size() == x.shape.size();
  TensorType out{x.dtype, {}};
  for (size_t i = 0; good && i < axes.size(); ++i) {
    good = axes[i] >= 0 && axes[i] < x.rank() && !used[static_cast<size_t>(axes[i])];
    if (!good) break;
    used[static_cast<size_t>(axes[i])] = true;
    out.shape.push_back(x.shape[static_cast<size_t>(axes[i])]);
  }
  require_argument(good, "axes are [", join_list(axes), "] and x is ", x, "; each of its ",
                   x.rank(), " axes once is wanted");
  return {out};
}

void Permute::cpu(const KernelArgs& args) const { copy_view(*this, args); }

std::vector<TensorType> Expand::infer(Types in) const {
  require_operands(in, 1, 1);
  for (const Dim& extent : shape)
    require_argument(may_be_natural(extent), "shape is ", shape,
                     "; extents of at least 0 are wanted");
  return {{in[0].dtype, broadcast_to(shape, "x", in[0])}};
}

void Expand::cpu(const KernelArgs& args) const { copy_view(*this, args); }

std::vector<TensorType> Slice::infer(Types in) const {
  require_operands(in, 1, 1);
  TensorType out = in[0];
  require_axis(axis, "x", out);
  require_argument(step != 0, "step is 0; another number is wanted");
  Dim& extent = out.shape[static_cast<size_t>(axis)];
  const Dim last = start + (size - 1) * step;
  // Where the size is symbolic it may be 0, and then start may be anything.
  bool good = may_be_natural(start) && may_be_natural(size);
  if (size.is_constant() && size != Dim(0)) good = good && may_be_natural(extent - 1 - start);
  if (size != Dim(0)) good = good && may_be_natural(last) && may_be_natural(extent - 1 - last);
  require_argument(good, "axis ", axis, " of x, which is ", out, ", is cut to ", size,
                   " indices from ", start, " by ", step, "; indices from 0 to ", extent - 1,
                   " are wanted");
  extent = size;
  return {out};
}

void Slice::cpu(const KernelArgs& args) const { copy_view(*this, args); }

std::vector<TensorType> Unfold::infer(Types in) const {
  require_operands(in, 1, 1);
  TensorType out = in[0];
  require_axis(axis, "x", out);
  require_argument(size >= 0 && step > 0, "windows of ", size, " by ", step,
                   "; a size of at least 0 and a step of at least 1 are wanted");
  Dim& extent = out.shape[static_cast<size_t>(axis)];
  require_argument(may_be_natural(extent - size), "x is ", in[0], "; an extent of at least ", size,
                   " of axis ", axis, " is wanted");
  extent = floor_div(extent - size, step) + 1;
  out.shape.push_back(size);
  return {out};
}

void Unfold::cpu(const KernelArgs& args) const { copy_view(*this, args); }

}  // namespace tutti
