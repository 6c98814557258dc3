// SPDX-License-Identifier: Apache-2.0
#include "shard/attention_plan.h"

#include <algorithm>

#include "ops/attention.h"

namespace tutti::shard {
namespace {

class AttentionPlanner {
 public:
  AttentionPlanner(const Node& node, const Mesh& mesh, const Desires& desires,
                   const std::vector<Context>& context)
      : node_(node), mesh_(mesh), desires_(desires), context_(context) {}

  NodePlacement place(const Placement& q, const Placement& k) const {
    const int64_t n = shape(0)[1], m = shape(1)[1];
    const bool ordered = !band().is_all() || node_.inputs.size() > 3;
    AxisSet taken = 0;
    const auto unless_taken = [&](const std::optional<Table>& table) {
      if (!table || (table->axes() & taken) != 0) return std::optional<Table>();
      taken |= table->axes();
      return table;
    };
    const auto s = unless_taken(q.dims[2] ? q.dims[2] : desires_.at(node_.inputs[0], 2));
    const auto& wanted_heads = desires_.at(node_.inputs[0], 1);
    const auto heads = unless_taken(wanted_heads ? wanted_heads : q.dims[1]);
    const auto batch = unless_taken(q.dims[0]);
    // Axes along which heads take the place of queries.
    const AxisSet exchanged = s ? s->axes() & axes_with(Context::ulysses) : 0;
    Placement inside = Placement::whole(4);
    inside.dims[0] = batch;
    inside.dims[1] = exchanged != 0 ? std::optional(cut_heads(heads, exchanged, n, n / m)) : heads;
    inside.dims[2] = s;
    if (s && exchanged != 0) inside.dims[2] = unless_whole(together(*s, exchanged, ordered));
    NodePlacement p;
    Placement keys = Placement::whole(4);
    keys.dims[0] = inside.dims[0];
    if (inside.dims[1]) keys.dims[1] = inside.dims[1]->shared(n / m);
    // What ranks share would be met twice.
    const bool parts = k.dims[2] && k.dims[2]->each_once(mesh_);
    // Between ranks that have the same heads; not where a window needs a few of them only.
    if (parts && !band().is_narrow())
      p.travels = k.dims[2]->axes() & axes_with(Context::ring) & ~keys.split_axes();
    if (p.travels == 0 && !band().is_all() && inside.dims[2])
      keys.dims[2] = unless_whole(seen_keys(*inside.dims[2]));
    else if (parts)
      keys.dims[2] = unless_whole(together(*k.dims[2], k.dims[2]->axes() & ~p.travels, ordered));
    if (!keys.dims[2]) p.travels = 0;
    p.in = {inside, keys, keys};
    if (node_.inputs.size() > 3) p.in.push_back(mask_for(inside));
    p.out = {inside};
    if (exchanged != 0) {
      Placement outside = inside;
      outside.dims[1] = heads;
      outside.dims[2] = s;
      p.settled = {outside};
    }
    return p;
  }

 private:
  const Dims& shape(size_t operand) const { return desires_.shape(node_.inputs[operand]); }
  Band band() const { return node_.op.as<Attention>()->band(); }

  // The keys that each rank's queries see, in order: windows, which overlap.
  Table seen_keys(const Table& rows) const {
    std::vector<Ranges> by_rank;
    for (int r = 0; r < rows.ranks(); ++r) by_rank.push_back(seen(band(), rows.on(r), shape(1)[2]));
    return {shape(1)[2], rows.axes(), std::move(by_rank)};
  }

  Placement mask_for(const Placement& inside) const {
    const Dims& mask = shape(3);
    Placement placed = Placement::whole(mask.rank());
    for (int i = 2; i <= mask.rank(); ++i)
      if (mask[mask.rank() - i] != 1)
        placed.dims[static_cast<size_t>(mask.rank() - i)] = inside.dims[static_cast<size_t>(4 - i)];
    return placed;
  }

  // What a group of ranks holds together, each rank all of it, member by member.
  Table together(const Table& table, AxisSet axes, bool in_order) const {
    std::vector<Ranges> by_rank;
    for (int r = 0; r < mesh_.size(); ++r) {
      Ranges all;
      for (const int member : mesh_.group(r, axes)) all.add(table.on(member));
      if (in_order) all = all.in_order_of({{0, table.extent()}});
      by_rank.push_back(std::move(all));
    }
    return {table.extent(), table.axes() & ~axes, std::move(by_rank)};
  }

  // Nothing for a table that is the whole dimension, in order, on all ranks.
  static std::optional<Table> unless_whole(const Table& table) {
    for (int r = 0; r < table.ranks(); ++r)
      if (!(table.on(r) == Ranges{{0, table.extent()}})) return table;
    return std::nullopt;
  }

  AxisSet axes_with(Context context) const {
    AxisSet axes = 0;
    for (size_t a = 0; a < context_.size(); ++a)
      if (context_[a] == context) axes |= AxisSet{1} << a;
    return axes;
  }

  // Heads cut further among the ranks of `axes`, in units that share keys where there are enough.
  Table cut_heads(const std::optional<Table>& heads, AxisSet axes, int64_t n, int64_t unit) const {
    std::vector<Ranges> by_rank;
    const AxisSet before = heads ? heads->axes() : 0;
    for (int r = 0; r < mesh_.size(); ++r) {
      const Ranges own = heads ? heads->on(r) : Ranges{{0, n}};
      const int64_t held = own.size();
      const int64_t each = held / unit >= mesh_.size(axes) ? unit : 1;
      const Table blocks = Table::block(mesh_, axes, held, each);
      Ranges part;
      for (const Range& x : blocks.on(r).list()) {
        int64_t position = 0;
        for (const Range& y : own.list()) {
          const Range cut{std::max(x.begin, position), std::min(x.end, position + y.size())};
          part.add({y.begin + cut.begin - position, y.begin + cut.end - position});
          position += y.size();
        }
      }
      by_rank.push_back(std::move(part));
    }
    return {n, before | axes, std::move(by_rank)};
  }

  const Node& node_;
  const Mesh& mesh_;
  const Desires& desires_;
  const std::vector<Context>& context_;
};

}  // namespace

Ranges seen(const Band& band, const Ranges& queries, int64_t count) {
  std::vector<Range> list;
  for (const Range& r : queries.list()) {
    const auto [begin, end] = band.keys(r.begin, r.size(), count);
    list.push_back({begin, end});
  }
  std::sort(list.begin(), list.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  Ranges keys;
  int64_t reached = 0;
  for (const Range& r : list) {
    keys.add({std::max(r.begin, reached), r.end});
    reached = std::max(reached, r.end);
  }
  return keys;
}

NodePlacement place_attention(const Node& node, const std::vector<Placement>& in, const Mesh& mesh,
                              const Desires& desires, const std::vector<Context>& context) {
  return AttentionPlanner(node, mesh, desires, context).place(in[0], in[1]);
}

}  // namespace tutti::shard
