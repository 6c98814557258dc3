// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "import/lowering.h"
#include "ops/collectives.h"

namespace tutti::pt2 {
namespace {

std::string reduction(const Args& a) {
  const std::string& name = a.text(a.name(1));
  if (name == "product") return "prod";
  constexpr std::string_view kKnown[] = {"sum", "min", "max", "avg"};
  require(std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown),
          Errc::unsupported, "the reduction ", name,
          " is not supported; sum, product, min, max and avg are");
  return name;
}

// A process group by its name, or, as older programs have it, by its ranks. Its size is not known
// where a call does not say it; then `stated` is 0.
RankList by_name(Lowering& l, const Args& a, int64_t stated) {
  const std::string& group = a.text("group_name");
  if (stated != 0) l.check_group_size(group, stated);
  return {group, {}, stated};
}
RankList of_any_size(Lowering& l, const Args& a) { return by_name(l, a, 0); }
RankList of_size(Lowering& l, const Args& a) { return by_name(l, a, a.integer("group_size")); }
RankList of_ranks(Lowering&, const Args& a) {
  return {"", a.integers("ranks"), a.integer("group_size")};
}

using Where = RankList (*)(Lowering& l, const Args& a);

// Parameters are called differently from one form to the next; the tensors come first, then the
// reduction.
std::vector<ValueId> operands(const Args& a) {
  const std::string_view name = a.name(0);
  return a.is_tensor(name) ? std::vector{a.value(name)} : a.values(name);
}

// The same collective on each tensor.
template <class T>
Results on_each(Lowering& l, const Args& a, const T& op) {
  std::vector<ValueId> results;
  for (ValueId x : operands(a)) results.push_back(l.e.op(op, {x}));
  return results;
}

template <Where where>
Results all_reduce(Lowering& l, const Args& a) {
  return on_each(l, a, AllReduce{where(l, a), reduction(a)});
}

template <Where where>
Results all_gather(Lowering& l, const Args& a) {
  return on_each(l, a, AllGather{where(l, a), 0});
}

template <Where where>
Results reduce_scatter(Lowering& l, const Args& a) {
  return on_each(l, a, ReduceScatter{where(l, a), reduction(a), 0});
}

template <Where where>
Results broadcast(Lowering& l, const Args& a) {
  return on_each(l, a, Broadcast{where(l, a), a.integer("src")});
}

// The functional form that fills a tensor that is there.
template <Results (*lower)(Lowering&, const Args&)>
Results into(Lowering& l, const Args& a) {
  const Ref out = a.ref("out");
  l.write_over(out, std::get<Array>(lower(l, a).items.at(0)));
  return out;
}

std::vector<int64_t> constants(const std::vector<Dim>& sizes) {
  std::vector<int64_t> list;
  for (const Dim& size : sizes) {
    require(size.is_constant(), Errc::unsupported, "all_to_all_single of ", size,
            " indices to a rank is not supported; fixed or equal numbers are");
    list.push_back(size.value());
  }
  return list;
}

// Blocks of the sizes that are listed; without lists they are equal.
Results exchange(Lowering& l, const Args& a, RankList where) {
  const ValueId x = a.value("input");
  std::vector<Dim> receives, sends;
  if (a.has("output_split_sizes")) receives = a.dims("output_split_sizes");
  if (a.has("input_split_sizes")) sends = a.dims("input_split_sizes");
  std::vector<Dim> all = sends;
  all.insert(all.end(), receives.begin(), receives.end());
  bool equal = sends.size() == receives.size();
  for (const Dim& size : all) equal = equal && size == all[0];
  if (equal) return l.e.op(AllToAll{where, 0, 0}, {x});
  return l.e.op(AllToAllV{where, 0, constants(sends), constants(receives)}, {x});
}

Results all_to_all(Lowering& l, const Args& a) {
  const auto listed = static_cast<int64_t>(a.dims("input_split_sizes").size());
  return exchange(l, a, by_name(l, a, listed));
}

Results all_to_all_of_ranks(Lowering& l, const Args& a) { return exchange(l, a, of_ranks(l, a)); }

// When to wait is the compiler's choice.
Results wait(Lowering&, const Args& a) {
  const std::string_view name = a.name(0);
  return a.is_tensor(name) ? Results(a.ref(name)) : Results(a.refs(name));
}

constexpr Row kRows[] = {
    {"_c10d_functional.all_reduce.default", "input, reduce_op, group_name",
     all_reduce<of_any_size>},
    {"_c10d_functional.all_reduce_coalesced.default", "inputs, reduce_op, group_name",
     all_reduce<of_any_size>},
    {"_c10d_functional.all_gather_into_tensor.default "
     "_c10d_functional_autograd.all_gather_into_tensor.default",
     "input, group_size, group_name", all_gather<of_size>},
    {"_c10d_functional.all_gather_into_tensor_coalesced.default", "inputs, group_size, group_name",
     all_gather<of_size>},
    {"_c10d_functional.all_gather_into_tensor_out.default", "input, group_size, group_name, out",
     into<all_gather<of_size>>},
    {"_c10d_functional.reduce_scatter_tensor.default "
     "_c10d_functional_autograd.reduce_scatter_tensor.default",
     "input, reduce_op, group_size, group_name", reduce_scatter<of_size>},
    {"_c10d_functional.reduce_scatter_tensor_coalesced.default",
     "inputs, reduce_op, group_size, group_name", reduce_scatter<of_size>},
    {"_c10d_functional.reduce_scatter_tensor_out.default",
     "input, reduce_op, group_size, group_name, out", into<reduce_scatter<of_size>>},
    {"_c10d_functional.all_to_all_single.default "
     "_c10d_functional_autograd.all_to_all_single.default",
     "input, output_split_sizes, input_split_sizes, group_name", all_to_all},
    {"_c10d_functional.broadcast.default", "input, src, group_name", broadcast<of_any_size>},
    {"_c10d_functional.wait_tensor.default", "tensor", wait},
    {"_c10d_functional.wait_tensors.default", "tensors", wait},
    {"_c10d_functional._wrap_tensor_autograd.default", "input", wait},

    // Names from before groups had names; a tag does not change which ranks take part.
    {"c10d_functional.all_reduce.default c10d_functional.all_reduce_coalesced.default",
     "self, reduceOp, tag, ranks, group_size", all_reduce<of_ranks>},
    {"c10d_functional.all_gather_into_tensor.default", "shard, tag, ranks, group_size",
     all_gather<of_ranks>},
    {"c10d_functional.all_gather_into_tensor_coalesced.default", "input, tag, ranks, group_size",
     all_gather<of_ranks>},
    {"c10d_functional.reduce_scatter_tensor.default", "input, reduceOp, tag, ranks, group_size",
     reduce_scatter<of_ranks>},
    {"c10d_functional.reduce_scatter_tensor_coalesced.default",
     "inputs, reduceOp, tag, ranks, group_size", reduce_scatter<of_ranks>},
    {"c10d_functional.all_to_all_single.default",
     "input, output_split_sizes, input_split_sizes, tag, ranks, group_size", all_to_all_of_ranks},
    {"c10d_functional.broadcast.default", "self, src, tag, ranks, group_size", broadcast<of_ranks>},
    {"c10d_functional.wait_tensor.default", "self", wait},
};

}  // namespace

std::span<const Row> collective_rows() { return kRows; }

}  // namespace tutti::pt2
