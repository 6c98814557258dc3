// SPDX-License-Identifier: Apache-2.0
#include "shard/planner.h"

#include <algorithm>

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/views.h"
#include "shard/links.h"
#include "shard/reshard.h"

namespace tutti::shard {
namespace {

using Tables = std::vector<std::optional<Table>>;

// Whether results of partial sums are partial sums of the results.
bool passes_sums(const Op& op) {
  if (op.as<Reshape>() || op.as<Permute>() || op.as<Slice>() || op.as<Expand>()) return true;
  const auto* r = op.as<Reduce>();
  return r != nullptr && r->fn == "sum";
}

class Planner {
 public:
  Planner(const Function& f, const Mesh& mesh, const Desires& desires,
          const std::vector<Context>& context, AxisSet shared)
      : f_(f), mesh_(mesh), desires_(desires), context_(context), shared_(shared) {
    for (const Value& value : f.values)
      result_.values.push_back(Placement::whole(value.type.rank()));
  }

  Placements run() {
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      result_.nodes.push_back(place(n));
      NodePlacement& placed = result_.nodes.back();
      if (placed.settled.empty()) placed.settled = placed.out;
      const std::vector<ValueId>& outputs = f_.nodes[n].outputs;
      for (size_t i = 0; i < outputs.size(); ++i) value(outputs[i]) = placed.settled[i];
    }
    return std::move(result_);
  }

 private:
  Placement& value(ValueId id) { return result_.values[static_cast<size_t>(id)]; }
  const Dims& shape(ValueId id) const { return desires_.shape(id); }

  NodePlacement place(size_t n) {
    const Node& node = f_.nodes[n];
    if (node.op.as<Attention>()) return attention(node);
    if (node.op.as<Reshape>()) return reshape(node);
    if (node.op.as<Slice>()) return slice(node);
    if (node.op.as<Concat>()) return concat(node);
    if (desires_.factors(n)) return by_factors(node, *desires_.factors(n));
    return whole(node);
  }

  NodePlacement whole(const Node& node) const {
    NodePlacement p;
    for (const ValueId id : node.inputs) p.in.push_back(Placement::whole(shape(id).rank()));
    for (const ValueId id : node.outputs) p.out.push_back(Placement::whole(shape(id).rank()));
    return p;
  }

  // A sum over ranks that all operands share, or that an operator passes on from one.
  AxisSet passed_partial(const Node& node, const Factors& f) {
    const AxisSet first = value(node.inputs[0]).partial;
    if (passes_sums(node.op)) return first;
    const auto* op = node.op.as<ElementwiseOp>();
    if (op == nullptr) return 0;
    if (op->fn == Elementwise::neg) return first;
    if (op->fn == Elementwise::add || op->fn == Elementwise::sub) {
      // Placements must be equal, so that no part is broadcast.
      const bool same = f.in[0] == f.in[1] && value(node.inputs[0]) == value(node.inputs[1]);
      return same ? first : 0;
    }
    const AxisSet second = node.inputs.size() > 1 ? value(node.inputs[1]).partial : 0;
    if (op->fn == Elementwise::mul && first != 0 && second != 0) return 0;
    const bool by_first = first != 0 && (value(node.inputs.back()).split_axes() & first) == 0;
    const bool by_second = second != 0 && (value(node.inputs[0]).split_axes() & second) == 0;
    if (op->fn == Elementwise::mul) return by_first ? first : by_second ? second : 0;
    if (op->fn == Elementwise::div) return second == 0 && by_first ? first : 0;
    return 0;
  }

  // The table of each factor: one that is desired, else the one that most elements have.
  Tables choose(const Node& node, const Factors& f, AxisSet taken) {
    Tables chosen(f.list.size());
    const auto consider = [&](int factor, const std::optional<Table>& table) {
      if (factor < 0 || !table) return;
      auto& own = chosen[static_cast<size_t>(factor)];
      if (own || f.list[static_cast<size_t>(factor)].whole || (table->axes() & taken) != 0) return;
      own = table;
      taken |= table->axes();
    };
    for (size_t i = 0; i < node.outputs.size(); ++i)
      for (size_t d = 0; d < f.out[i].size(); ++d)
        consider(f.out[i][d], desires_.at(node.outputs[i], static_cast<int>(d)));
    std::vector<size_t> order(node.inputs.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return elements(f_.type(node.inputs[a]).shape).value() >
             elements(f_.type(node.inputs[b]).shape).value();
    });
    for (const size_t i : order) {
      const Placement& p = value(node.inputs[i]);
      for (size_t d = 0; d < p.dims.size(); ++d) consider(f.in[i][d], p.dims[d]);
    }
    return chosen;
  }

  // Seconds that a product takes, and that gathering its result takes: rough figures of a CPU.
  static bool worth_gathering(double sums, double weight_elements, double result_elements,
                              int ranks) {
    constexpr double kSumsPerSecond = 5e10, kReadPerSecond = 2.5e9, kSentPerSecond = 1e9,
                     kStart = 5e-6;
    const double others = 1.0 - 1.0 / ranks;
    const double saved = others * std::max(sums / kSumsPerSecond, weight_elements / kReadPerSecond);
    return saved > kStart + others * result_elements / kSentPerSecond;
  }

  // A product or convolution that ranks would all compute whole: columns are shared out among
  // those that have nothing else to tell them apart, and gathered at once. Returns the factor.
  int share_columns(const Node& node, const Factors& f, Tables& chosen) const {
    const bool product = node.op.as<Matmul>();
    if (!product && !node.op.as<Conv>()) return Factors::kBroadcast;
    AxisSet idle = shared_;
    double sums = 1, result = 1;
    for (size_t i = 0; i < f.list.size(); ++i) {
      if (chosen[i]) idle &= ~chosen[i]->axes();
      const double extent =
          static_cast<double>(f.list[i].extent) / (chosen[i] ? mesh_.size(chosen[i]->axes()) : 1);
      sums *= extent;
      if (f.list[i].in_result) result *= extent;
    }
    const size_t axis = product ? f.out[0].size() - 1 : 1;
    const int columns = f.out[0][axis];
    const auto weight = static_cast<double>(elements(f_.type(node.inputs[1]).shape).value());
    if (columns < 0 || idle == 0 || mesh_.size(idle) == 1 || chosen[static_cast<size_t>(columns)] ||
        !worth_gathering(sums, weight, result, mesh_.size(idle)))
      return Factors::kBroadcast;
    chosen[static_cast<size_t>(columns)] =
        Table::block(mesh_, idle, f.list[static_cast<size_t>(columns)].extent);
    return columns;
  }

  NodePlacement by_factors(const Node& node, const Factors& f) {
    const AxisSet passed = passed_partial(node, f);
    Tables chosen = choose(node, f, passed);
    const int shared = passed == 0 ? share_columns(node, f, chosen) : Factors::kBroadcast;
    NodePlacement p;
    AxisSet summed = 0;
    for (size_t i = 0; i < f.list.size(); ++i)
      if (chosen[i] && !f.list[i].in_result) summed |= chosen[i]->axes();
    const auto placement = [&](const std::vector<int>& dims) {
      Placement one = Placement::whole(static_cast<int>(dims.size()));
      for (size_t d = 0; d < dims.size(); ++d)
        if (dims[d] >= 0) one.dims[d] = chosen[static_cast<size_t>(dims[d])];
      return one;
    };
    bool addend = false;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      p.in.push_back(placement(f.in[i]));
      p.in.back().partial = value(node.inputs[i]).partial & passed;
      addend = addend || f.addend[i];
    }
    for (const auto& dims : f.out) {
      p.out.push_back(placement(dims));
      p.out.back().partial = passed | summed;
    }
    if (summed != 0 && addend) {
      p.product_partial = summed;
      Placement sum = p.out[0];
      for (int d = 0; d < shape(node.outputs[0]).rank(); ++d) {
        const auto& wanted = desires_.at(node.outputs[0], d);
        if (wanted && (wanted->axes() & ~summed) == 0 && !sum.dims[static_cast<size_t>(d)])
          sum.dims[static_cast<size_t>(d)] = wanted;
      }
      sum.partial = passed;
      p.out[0] = sum;
      // The addend is where the sum is.
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (f.addend[i])
          for (size_t d = 0; d < f.in[i].size(); ++d)
            if (f.in[i][d] >= 0) p.in[i].dims[d] = sum.dims[sum.dims.size() - f.in[i].size() + d];
    }
    if (shared >= 0) {
      p.settled = p.out;
      for (size_t d = 0; d < f.out[0].size(); ++d)
        if (f.out[0][d] == shared) p.settled[0].dims[d].reset();
    }
    return p;
  }

  NodePlacement reshape(const Node& node) {
    const ValueId x = node.inputs[0], y = node.outputs[0];
    NodePlacement p{{value(x)}, {Placement::whole(shape(y).rank())}, 0, {}};
    auto tables = reshape_tables(shape(x), p.in[0].dims, shape(y), mesh_);
    for (size_t d = p.in[0].dims.size(); !tables && d-- > 0;) {
      p.in[0].dims[d].reset();
      tables = reshape_tables(shape(x), p.in[0].dims, shape(y), mesh_);
    }
    p.out[0].dims = *tables;
    p.out[0].partial = p.in[0].partial;
    return p;
  }

  NodePlacement slice(const Node& node) {
    const auto& op = *node.op.as<Slice>();
    const ValueId x = node.inputs[0];
    const auto axis = static_cast<size_t>(op.axis);
    NodePlacement p{{value(x)}, {value(x)}, 0, {}};
    auto& table = p.out[0].dims[axis];
    if (!table) return p;
    if (op.step != 1) {
      p.in[0].dims[axis].reset();
      table.reset();
      return p;
    }
    table = table->cut(op.start.value(), op.size.value());
    // What one rank holds alone goes to all: the others would wait for it.
    const int64_t fair =
        (table->extent() + mesh_.size(table->axes()) - 1) / mesh_.size(table->axes());
    if (table->largest() > 2 * fair) {
      p.settled = p.out;
      p.settled[0].dims[axis].reset();
    }
    return p;
  }

  NodePlacement concat(const Node& node) {
    const auto axis = static_cast<size_t>(node.op.as<Concat>()->axis);
    const ValueId y = node.outputs[0];
    NodePlacement p;
    const AxisSet partial = value(node.inputs[0]).partial;
    const bool sums = std::all_of(node.inputs.begin(), node.inputs.end(),
                                  [&](ValueId id) { return value(id).partial == partial; });
    Placement common = Placement::whole(shape(y).rank());
    AxisSet taken = sums ? partial : 0;
    for (const ValueId id : node.inputs) {
      for (size_t d = 0; d < common.dims.size(); ++d) {
        const auto& table = value(id).dims[d];
        if (d == axis || common.dims[d] || !table || (table->axes() & taken) != 0) continue;
        common.dims[d] = table;
        taken |= table->axes();
      }
    }
    AxisSet along = 0;
    for (const ValueId id : node.inputs)
      if (value(id).dims[axis] && (value(id).dims[axis]->axes() & taken) == 0)
        along |= value(id).dims[axis]->axes();
    std::vector<Table> parts;
    for (const ValueId id : node.inputs) {
      Placement own = common;
      own.partial = sums ? partial : 0;
      if (along != 0) {
        const auto& table = value(id).dims[axis];
        own.dims[axis] = table && table->axes() == along
                             ? table
                             : Table::block(mesh_, along, shape(id)[static_cast<int>(axis)]);
        parts.push_back(*own.dims[axis]);
      }
      p.in.push_back(std::move(own));
    }
    p.out = {common};
    p.out[0].partial = sums ? partial : 0;
    if (along != 0) p.out[0].dims[axis] = Table::joined(parts);
    return p;
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

  // The heads of keys that query heads read, each once.
  std::optional<Table> shared_heads(const std::optional<Table>& heads, int64_t n, int64_t m) const {
    if (!heads || n == m) return heads;
    const int64_t group = n / m;
    std::vector<Ranges> by_rank;
    for (int r = 0; r < mesh_.size(); ++r) {
      Ranges keys;
      for (const Range& x : heads->on(r).list()) {
        const int64_t end = keys.empty() ? 0 : keys.list().back().end;
        keys.add({std::max(x.begin / group, end), (x.end + group - 1) / group});
      }
      by_rank.push_back(std::move(keys));
    }
    return Table(m, heads->axes(), std::move(by_rank));
  }

  NodePlacement attention(const Node& node) {
    const Placement &q = value(node.inputs[0]), &k = value(node.inputs[1]);
    const int64_t n = shape(node.inputs[0])[1], m = shape(node.inputs[1])[1];
    const bool ordered = node.op.as<Attention>()->causal || node.inputs.size() > 3;
    AxisSet taken = 0;
    const auto unless_taken = [&](const std::optional<Table>& table) {
      if (!table || (table->axes() & taken) != 0) return std::optional<Table>();
      taken |= table->axes();
      return table;
    };
    const auto s = unless_taken(q.dims[2] ? q.dims[2] : desires_.at(node.inputs[0], 2));
    const auto& wanted_heads = desires_.at(node.inputs[0], 1);
    const auto heads = unless_taken(wanted_heads ? wanted_heads : q.dims[1]);
    const auto batch = unless_taken(q.dims[0]);
    // Axes along which heads take the place of queries.
    const AxisSet exchanged = s ? s->axes() & axes_with(Context::ulysses) : 0;
    NodePlacement p;
    Placement inside = Placement::whole(4);
    inside.dims[0] = batch;
    inside.dims[1] = exchanged != 0 ? std::optional(cut_heads(heads, exchanged, n, n / m)) : heads;
    inside.dims[2] = s;
    if (s && exchanged != 0) inside.dims[2] = unless_whole(together(*s, exchanged, ordered));
    // Keys that are split along other axes are gathered.
    Placement keys = Placement::whole(4);
    keys.dims[0] = batch;
    keys.dims[1] = shared_heads(inside.dims[1], n, m);
    if (k.dims[2]) {
      // Those of a ring stay where they are and travel, between ranks that have the same heads.
      const AxisSet others = keys.split_axes();
      const AxisSet gathered = k.dims[2]->axes() & (~axes_with(Context::ring) | others);
      keys.dims[2] = unless_whole(together(*k.dims[2], gathered, ordered));
    }
    p.in = {inside, keys, keys};
    if (node.inputs.size() > 3) {
      const Dims& mask = shape(node.inputs[3]);
      Placement placed = Placement::whole(mask.rank());
      for (int i = 2; i <= mask.rank(); ++i)
        if (mask[mask.rank() - i] != 1)
          placed.dims[static_cast<size_t>(mask.rank() - i)] =
              inside.dims[static_cast<size_t>(4 - i)];
      p.in.push_back(placed);
    }
    p.out = {inside};
    if (exchanged != 0) {
      Placement outside = inside;
      outside.dims[1] = heads;
      outside.dims[2] = s;
      p.settled = {outside};
    }
    return p;
  }

  const Function& f_;
  const Mesh& mesh_;
  const Desires& desires_;
  const std::vector<Context>& context_;
  AxisSet shared_;
  Placements result_;
};

}  // namespace

Placements place_values(const Function& f, const Mesh& mesh, const Desires& desires,
                        const std::vector<Context>& context, AxisSet shared) {
  return Planner(f, mesh, desires, context, shared).run();
}

}  // namespace tutti::shard
