// SPDX-License-Identifier: Apache-2.0
#include "api/network.h"

namespace tutti {
namespace {

// An operator's own attributes and the ranks that it runs on.
AttributeList on(const Ranks& ranks, AttributeList own) {
  const auto listed = static_cast<int64_t>(ranks.ranks.size());
  own.insert(own.end(), {{"group", ranks.group},
                         {"ranks", ranks.ranks},
                         {"size", ranks.size == 0 ? listed : ranks.size}});
  return own;
}

}  // namespace

Expression all_reduce(const Expression& x, const Ranks& ranks, const std::string& reduce) {
  return operation("all_reduce", {x}, on(ranks, {{"reduce", reduce}}));
}

Expression reduce_to(const Expression& x, const Ranks& ranks, int64_t root,
                     const std::string& reduce) {
  return operation("reduce_to", {x}, on(ranks, {{"reduce", reduce}, {"root", root}}));
}

Expression all_gather(const Expression& x, const Ranks& ranks, int64_t axis) {
  return operation("all_gather", {x},
                   on(ranks, {{"axis", axis_from_front(x, axis, "all_gather")}}));
}

Expression gather_to(const Expression& x, const Ranks& ranks, int64_t root, int64_t axis) {
  return operation("gather_to", {x},
                   on(ranks, {{"root", root}, {"axis", axis_from_front(x, axis, "gather_to")}}));
}

Expression reduce_scatter(const Expression& x, const Ranks& ranks, const std::string& reduce,
                          int64_t axis) {
  return operation(
      "reduce_scatter", {x},
      on(ranks, {{"reduce", reduce}, {"axis", axis_from_front(x, axis, "reduce_scatter")}}));
}

Expression scatter_from(const Expression& x, const Ranks& ranks, int64_t root, int64_t axis) {
  return operation("scatter_from", {x},
                   on(ranks, {{"root", root}, {"axis", axis_from_front(x, axis, "scatter_from")}}));
}

Expression all_to_all(const Expression& x, const Ranks& ranks, int64_t split_axis,
                      int64_t concat_axis) {
  return operation("all_to_all", {x},
                   on(ranks, {{"split_axis", axis_from_front(x, split_axis, "all_to_all")},
                              {"concat_axis", axis_from_front(x, concat_axis, "all_to_all")}}));
}

Expression all_to_all_v(const Expression& x, const Ranks& ranks, const std::vector<int64_t>& sends,
                        const std::vector<int64_t>& receives, int64_t axis) {
  return operation("all_to_all_v", {x},
                   on(ranks, {{"axis", axis_from_front(x, axis, "all_to_all_v")},
                              {"sends", sends},
                              {"receives", receives}}));
}

Expression broadcast(const Expression& x, const Ranks& ranks, int64_t root) {
  return operation("broadcast", {x}, on(ranks, {{"root", root}}));
}

void send(GraphBuilder& builder, const Expression& x, const Ranks& ranks, int64_t to) {
  builder.add("send", {x}, on(ranks, {{"to", to}}));
}

Expression recv(GraphBuilder& builder, const Ranks& ranks, int64_t from, DType dtype,
                const Extents& shape) {
  return builder.add("recv", {},
                     on(ranks, {{"from", from}, {"dtype", dtype}, {"shape", shape}}))[0];
}

Expression rank_in(GraphBuilder& builder, const Ranks& ranks) {
  return builder.add("rank", {}, on(ranks, {}))[0];
}

}  // namespace tutti
