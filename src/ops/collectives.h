// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "ir/op.h"
#include "tutti/communicator.h"

namespace tutti {

/// The ranks that an operator of this page runs on: fields of each.
///
/// A size of 0, without `ranks`, means one list of all of the group; it is refused where the shape
/// of the result follows from the size. With a size of 1 every collective is the identity.
struct RankList {
  /// A name that is bound with the session to ranks in order; "" stands for all ranks.
  std::string group;
  /// Ranks of the communicator bound, in the place of those of the group. Every `size` of them in
  /// order are a list; a rank uses the list that it is in, in none its results are zeros.
  std::vector<int64_t> ranks;
  int64_t size = 0;  ///< ranks that take part in one list

  friend bool operator==(const RankList&, const RankList&) = default;
};

/// "2 ranks of group 'tp'", "all ranks", "ranks [0, 2, 1, 3] by 2"
std::string to_string(const RankList& where);

/// An operator's own fields and those of RankList.
template <class... Fields>
constexpr auto with_ranks(Fields... own) {
  return std::tuple{
      own..., field("group", &RankList::group, "a name bound with the session; empty: all ranks"),
      field("ranks", &RankList::ranks, "lists of ranks, one after the other; empty: the group's"),
      field("size", &RankList::size, "ranks in one list; 0: one list of all of them")};
}

/// The plain implementation of all: with one rank a copy, else an error that asks for a session.
void run_alone(std::string_view name, const RankList& where, const KernelArgs& args);

/// What the collectives share.
struct GroupOperator : RankList {
  static constexpr bool kEffects = true;
};

// What each computes is said in docs/collectives.md. `reduce` is sum, prod, max, min or avg; root,
// to and from are positions in the list of ranks; blocks are cut and joined in the order of it.

/// y = the reduction of x over all ranks.
struct AllReduce : GroupOperator {
  std::string reduce = "sum";

  static constexpr auto kName = "all_reduce";
  static constexpr auto kDoc = "y = x reduced over ranks, on all of them";
  static constexpr auto kKind = comm::Kind::all_reduce;
  static constexpr auto fields() {
    return with_ranks(field("reduce", &AllReduce::reduce, "sum, prod, max, min or avg"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = the x of all ranks along an axis, which grows `size` times.
struct AllGather : GroupOperator {
  int64_t axis = 0;

  static constexpr auto kName = "all_gather";
  static constexpr auto kDoc = "y = x of all ranks joined along an axis";
  static constexpr auto kKind = comm::Kind::all_gather;
  static constexpr auto fields() {
    return with_ranks(field("axis", &AllGather::axis, "the axis joined"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = the block of the reduction that is this rank's; the axis is cut into `size` blocks.
struct ReduceScatter : GroupOperator {
  std::string reduce = "sum";
  int64_t axis = 0;

  static constexpr auto kName = "reduce_scatter";
  static constexpr auto kDoc = "y = one block of x reduced over ranks";
  static constexpr auto kKind = comm::Kind::reduce_scatter;
  static constexpr auto fields() {
    return with_ranks(field("reduce", &ReduceScatter::reduce, "sum, prod, max, min or avg"),
                      field("axis", &ReduceScatter::axis, "the axis cut into blocks"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// Block s of x along split_axis goes to rank s; what arrives is joined along concat_axis.
struct AllToAll : GroupOperator {
  int64_t split_axis = 0;
  int64_t concat_axis = 0;

  static constexpr auto kName = "all_to_all";
  static constexpr auto kDoc = "blocks of x to each rank, blocks from each rank joined";
  static constexpr auto kKind = comm::Kind::all_to_all;
  static constexpr auto fields() {
    return with_ranks(field("split_axis", &AllToAll::split_axis, "the axis cut into blocks"),
                      field("concat_axis", &AllToAll::concat_axis, "the axis joined"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// all_to_all with blocks of sends[s] indices to rank s and receives[s] from it.
struct AllToAllV : GroupOperator {
  int64_t axis = 0;
  std::vector<int64_t> sends;
  std::vector<int64_t> receives;

  static constexpr auto kName = "all_to_all_v";
  static constexpr auto kDoc = "all_to_all with blocks of any size";
  static constexpr auto kKind = comm::Kind::all_to_all_v;
  static constexpr auto fields() {
    return with_ranks(field("axis", &AllToAllV::axis, "the axis cut and joined"),
                      field("sends", &AllToAllV::sends, "indices that go to each rank"),
                      field("receives", &AllToAllV::receives, "indices that come from each rank"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = the root's x; the x of others has the same type and is not read.
struct Broadcast : GroupOperator {
  int64_t root = 0;

  static constexpr auto kName = "broadcast";
  static constexpr auto kDoc = "y = x of the root, on all ranks";
  static constexpr auto kKind = comm::Kind::broadcast;
  static constexpr auto fields() {
    return with_ranks(field("root", &Broadcast::root, "position of the rank that sends"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = the reduction of x over all ranks on the root, zeros elsewhere.
struct ReduceTo : GroupOperator {
  std::string reduce = "sum";
  int64_t root = 0;

  static constexpr auto kName = "reduce_to";
  static constexpr auto kDoc = "y = x reduced over ranks, on the root";
  static constexpr auto kKind = comm::Kind::reduce;
  static constexpr auto fields() {
    return with_ranks(field("reduce", &ReduceTo::reduce, "sum, prod, max, min or avg"),
                      field("root", &ReduceTo::root, "position of the rank that receives"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// all_gather whose result is on the root, zeros elsewhere.
struct GatherTo : GroupOperator {
  int64_t root = 0;
  int64_t axis = 0;

  static constexpr auto kName = "gather_to";
  static constexpr auto kDoc = "y = x of all ranks joined along an axis, on the root";
  static constexpr auto kKind = comm::Kind::gather;
  static constexpr auto fields() {
    return with_ranks(field("root", &GatherTo::root, "position of the rank that receives"),
                      field("axis", &GatherTo::axis, "the axis joined"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = this rank's block of the root's x; the x of others has the same type and is not read.
struct ScatterFrom : GroupOperator {
  int64_t root = 0;
  int64_t axis = 0;

  static constexpr auto kName = "scatter_from";
  static constexpr auto kDoc = "y = one block of the root's x";
  static constexpr auto kKind = comm::Kind::scatter;
  static constexpr auto fields() {
    return with_ranks(field("root", &ScatterFrom::root, "position of the rank that sends"),
                      field("axis", &ScatterFrom::axis, "the axis cut into blocks"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// Gives x to another rank, whose recv takes it; no result. For programs that differ by rank.
struct Send : GroupOperator {
  int64_t to = 0;

  static constexpr auto kName = "send";
  static constexpr auto kDoc = "x to another rank";
  static constexpr auto kKind = comm::Kind::send;
  static constexpr auto fields() {
    return with_ranks(field("to", &Send::to, "position of the rank that receives"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = what another rank sends; no operand. For programs that differ by rank.
struct Recv : GroupOperator {
  int64_t from = 0;
  DType dtype = DType::f32;
  Shape shape;

  static constexpr auto kName = "recv";
  static constexpr auto kDoc = "y = what another rank sends";
  static constexpr auto kKind = comm::Kind::recv;
  static constexpr auto fields() {
    return with_ranks(field("from", &Recv::from, "position of the rank that sends"),
                      field("dtype", &Recv::dtype, "element type of y"),
                      field("shape", &Recv::shape, "extents of y"));
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const { run_alone(kName, *this, args); }
};

/// y = this rank's position in its list, i64[]; 0 on a rank in none. Known once a session is bound.
struct RankInGroup : RankList {
  static constexpr auto kName = "rank";
  static constexpr auto kDoc = "y = the position of this rank among the ranks";
  static constexpr auto fields() { return with_ranks(); }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// What an operator asks of its group. Axes are 0 and tensors contiguous by then.
///
/// `what` has no label; its counts are of elements and lie in `sends` and `receives`, so a call is
/// moved, not copied. Where size is 0, count of an all_to_all is that of all blocks together.
struct GroupCall {
  RankList where;
  comm::Collective what;
  std::vector<int64_t> sends, receives;
  int64_t row = 1;  ///< elements of one index of axis 0, the least that a block can be

  GroupCall() = default;
  GroupCall(GroupCall&&) = default;
  GroupCall& operator=(GroupCall&&) = default;
};

/// The call that an operator makes, from the tensors of one execution (their data is not read).
/// Nothing for operators that are no collective.
std::optional<GroupCall> group_call(const Op& op, std::span<const Tensor> in,
                                    std::span<const Tensor> out);

/// The ranks of a collective, of send and of recv; null for other operators, rank too.
const RankList* rank_list(const Op& op);

/// True for all operators here but rank.
inline bool is_collective(const Op& op) { return rank_list(op) != nullptr; }

/// Whether it is between two ranks, which do not wait for each other in all else.
inline bool is_message(const Op& op) { return op.as<Send>() || op.as<Recv>(); }

/// True for all operators here: a session that is bound runs them, not a kernel.
inline bool runs_on_ranks(const Op& op) { return is_collective(op) || op.as<RankInGroup>(); }

/// The name of the implementation of such steps.
inline constexpr std::string_view kRanksImplementation = "ranks";

}  // namespace tutti
