// SPDX-License-Identifier: Apache-2.0
#include "ops/collectives.h"

#include <algorithm>

#include "comm/collective.h"
#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

using comm::kMostRanks;

comm::Reduce reduction_of(std::string_view name) {
  std::vector<std::string_view> names;
  for (int i = 0; i < comm::kReduceCount; ++i) {
    names.push_back(comm::to_string(static_cast<comm::Reduce>(i)));
    if (names.back() == name) return static_cast<comm::Reduce>(i);
  }
  fail(Errc::invalid_argument, "reduce is ", name, "; one of ", join_list(names), " is wanted");
}

void check_ranks(const RankList& where) {
  const auto& [group, ranks, size] = where;
  require_argument(size >= 0 && size <= kMostRanks, "size is ", size, "; 0 to ", kMostRanks,
                   " ranks are wanted");
  if (ranks.empty()) return;
  require_argument(size > 0, "ranks are [", join_list(ranks), "] and size is 0; ",
                   "the number of ranks in one list is wanted");
  require_argument(ranks.size() % static_cast<size_t>(size) == 0, "ranks are [", join_list(ranks),
                   "] and size is ", size, "; whole lists of ", size, " ranks are wanted");
  std::vector<int64_t> sorted = ranks;
  std::sort(sorted.begin(), sorted.end());
  require_argument(sorted[0] >= 0, "ranks are [", join_list(ranks),
                   "]; numbers of 0 or more are wanted");
  require_argument(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end(), "ranks are [",
                   join_list(ranks), "]; each rank at most once is wanted");
}

void check_position(const RankList& where, std::string_view name, int64_t position) {
  const int64_t end = where.size == 0 ? kMostRanks : where.size;
  require_argument(position >= 0 && position < end, name, " is ", position,
                   "; a position of 0 or more and less than ", end, " is wanted");
}

void check_peer(const RankList& where, std::string_view name, int64_t peer) {
  require_argument(where.size != 1, "size is 1; a group with another rank is wanted");
  check_position(where, name, peer);
}

// The one operand of a collective on these ranks.
const TensorType& operand(const RankList& where, Types in) {
  check_ranks(where);
  require_operands(in, 1, 1);
  return in[0];
}

const TensorType& reduced_operand(const RankList& where, Types in, std::string_view reduce) {
  const TensorType& x = operand(where, in);
  require_argument(
      comm::is_defined(x.dtype, reduction_of(reduce)), "x is ", x, " and reduce is ", reduce, "; ",
      x.dtype == DType::boolean ? "max (or) or min (and)" : "sum, prod, max or min", " is wanted");
  return x;
}

// x, when the root is one of the ranks.
const TensorType& rooted(const TensorType& x, const RankList& where, int64_t root) {
  check_position(where, "root", root);
  return x;
}

void require_size(const RankList& where) {
  require_argument(where.size > 0, "size is 0; the number of ranks is wanted, the shape of the ",
                   "result follows from it");
}

// x with an axis that is `size` times as long.
TensorType joined(TensorType x, const RankList& where, int64_t axis) {
  require_size(where);
  require_axis(axis, "x", x);
  Dim& extent = x.shape[static_cast<size_t>(axis)];
  extent = extent * where.size;
  return x;
}

// x with an axis that is cut into `size` blocks, of which one is left.
TensorType cut(TensorType x, const RankList& where, int64_t axis) {
  require_size(where);
  require_axis(axis, "x", x);
  Dim& extent = x.shape[static_cast<size_t>(axis)];
  const Dim rest = mod(extent, where.size);
  require_argument(!rest.is_constant() || rest == Dim(0), "x is ", x, "; a multiple of ",
                   where.size, " as extent of axis ", axis, " is wanted");
  extent = floor_div(extent, where.size);
  return x;
}

Dim total(const std::vector<int64_t>& counts) {
  Dim sum;
  for (int64_t count : counts) sum = sum + count;
  return sum;
}

int64_t count_of(comm::Kind kind, const RankList& where, const Tensor* x, const Tensor* y) {
  switch (kind) {
    case comm::Kind::reduce_scatter:
    case comm::Kind::scatter:
    case comm::Kind::recv:
      return y->elements();
    case comm::Kind::all_to_all:
      return x->elements() / std::max<int64_t>(where.size, 1);
    case comm::Kind::all_to_all_v:
      return 0;
    default:
      return x->elements();
  }
}

// Elements of one index of axis 0.
int64_t row_of(const Tensor& x) {
  int64_t row = 1;
  for (int axis = 1; axis < x.rank(); ++axis) row *= x.shape[axis];
  return row;
}

// Numbers of indices of axis 0 as numbers of elements.
std::vector<int64_t> in_elements(std::vector<int64_t> counts, const Tensor& x) {
  for (int64_t& count : counts) count *= row_of(x);
  return counts;
}

template <class T>
GroupCall make_call(const T& op, std::span<const Tensor> in, std::span<const Tensor> out) {
  const Tensor* x = in.empty() ? nullptr : &in[0];
  const Tensor* y = out.empty() ? nullptr : &out[0];
  GroupCall call;
  call.where = op;
  call.what.kind = T::kKind;
  call.what.dtype = x ? x->dtype : y->dtype;
  call.what.count = count_of(T::kKind, op, x, y);
  call.row = row_of(x ? *x : *y);
  if constexpr (requires { op.reduce; }) call.what.reduce = reduction_of(op.reduce);
  if constexpr (requires { op.root; }) call.what.root = static_cast<int>(op.root);
  if constexpr (requires { op.to; }) call.what.root = static_cast<int>(op.to);
  if constexpr (requires { op.from; }) call.what.root = static_cast<int>(op.from);
  if constexpr (requires { op.sends; }) {
    call.sends = in_elements(op.sends, *x);
    call.receives = in_elements(op.receives, *x);
    call.what.sends = call.sends;
    call.what.receives = call.receives;
  }
  return call;
}

// Calls f with the struct behind a collective; false for other operators.
template <class F>
bool with_collective(const Op& op, const F& f) {
  const auto is = [&](const auto* found) {
    if (found != nullptr) f(*found);
    return found != nullptr;
  };
  return is(op.as<AllReduce>()) || is(op.as<AllGather>()) || is(op.as<ReduceScatter>()) ||
         is(op.as<AllToAll>()) || is(op.as<AllToAllV>()) || is(op.as<Broadcast>()) ||
         is(op.as<ReduceTo>()) || is(op.as<GatherTo>()) || is(op.as<ScatterFrom>()) ||
         is(op.as<Send>()) || is(op.as<Recv>());
}

void require_alone(std::string_view name, const RankList& where) {
  require_argument(where.size == 1, name, ": runs on ", where,
                   "; a session that is bound to a communicator is wanted");
}

}  // namespace

std::string to_string(const RankList& where) {
  if (!where.ranks.empty())
    return join("ranks [", join_list(where.ranks), "] by ", where.size,
                where.group.empty() ? "" : join(" of group '", where.group, "'"));
  const std::string count = where.size == 0 ? "all" : std::to_string(where.size);
  return join(count, where.size == 1 ? " rank" : " ranks",
              where.group.empty() ? "" : join(" of group '", where.group, "'"));
}

void run_alone(std::string_view name, const RankList& where, const KernelArgs& args) {
  require_alone(name, where);
  copy_tensor(args.pool, args.in[0], args.out[0]);
}

std::vector<TensorType> AllReduce::infer(Types in) const {
  return {reduced_operand(*this, in, reduce)};
}

std::vector<TensorType> AllGather::infer(Types in) const {
  return {joined(operand(*this, in), *this, axis)};
}

std::vector<TensorType> ReduceScatter::infer(Types in) const {
  return {cut(reduced_operand(*this, in, reduce), *this, axis)};
}

std::vector<TensorType> AllToAll::infer(Types in) const {
  const TensorType& x = operand(*this, in);
  require_axis(split_axis, "x", x);
  const bool same_axis = split_axis == concat_axis;
  if (same_axis && size == 0) return {x};
  const TensorType block = cut(x, *this, split_axis);
  return {same_axis ? x : joined(block, *this, concat_axis)};
}

std::vector<TensorType> AllToAllV::infer(Types in) const {
  TensorType y = operand(*this, in);
  require_size(*this);
  require_axis(axis, "x", y);
  require_list("sends", sends, static_cast<int>(size), 0);
  require_list("receives", receives, static_cast<int>(size), 0);
  require_argument(size > 1 || sends == receives, "one rank sends itself ", sends[0],
                   " indices and receives ", receives[0], "; equal numbers are wanted");
  Dim& extent = y.shape[static_cast<size_t>(axis)];
  require_argument(!extent.is_constant() || extent == total(sends), "x is ", y, " and sends are [",
                   join_list(sends), "]; extent ", total(sends), " of axis ", axis, " is wanted");
  extent = total(receives);
  return {y};
}

std::vector<TensorType> Broadcast::infer(Types in) const {
  return {rooted(operand(*this, in), *this, root)};
}

std::vector<TensorType> ReduceTo::infer(Types in) const {
  return {rooted(reduced_operand(*this, in, reduce), *this, root)};
}

std::vector<TensorType> GatherTo::infer(Types in) const {
  return {joined(rooted(operand(*this, in), *this, root), *this, axis)};
}

std::vector<TensorType> ScatterFrom::infer(Types in) const {
  return {cut(rooted(operand(*this, in), *this, root), *this, axis)};
}

std::vector<TensorType> Send::infer(Types in) const {
  operand(*this, in);
  check_peer(*this, "to", to);
  return {};
}

std::vector<TensorType> Recv::infer(Types in) const {
  check_ranks(*this);
  require_operands(in, 0, 0);
  check_peer(*this, "from", from);
  for (const Dim& extent : shape)
    require_argument(!extent.is_constant() || extent.value() >= 0, "shape is ", shape,
                     "; extents of at least 0 are wanted");
  return {{dtype, shape}};
}

std::vector<TensorType> RankInGroup::infer(Types in) const {
  check_ranks(*this);
  require_operands(in, 0, 0);
  return {{DType::i64, {}}};
}

void RankInGroup::cpu(const KernelArgs& args) const {
  require_alone(kName, *this);
  *args.out[0].as<int64_t>() = 0;
}

std::optional<GroupCall> group_call(const Op& op, std::span<const Tensor> in,
                                    std::span<const Tensor> out) {
  std::optional<GroupCall> call;
  with_collective(op, [&](const auto& collective) { call = make_call(collective, in, out); });
  return call;
}

const RankList* rank_list(const Op& op) {
  const RankList* found = nullptr;
  with_collective(op, [&](const RankList& where) { found = &where; });
  return found;
}

}  // namespace tutti
