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
#include "shard/attention_plan.h"
#include "shard/links.h"
#include "shard/profile.h"
#include "shard/reshard.h"

namespace tutti::shard {
namespace {

using Tables = std::vector<std::optional<Table>>;

// All ranks decide alike, on any machine: not what was measured.
constexpr Profile kPrices;

// Whether results of partial sums are partial sums of the results.
bool passes_sums(const Op& op) {
  if (op.as<Reshape>() || op.as<Permute>() || op.as<Slice>() || op.as<Expand>()) return true;
  const auto* r = op.as<Reduce>();
  return r != nullptr && r->fn == "sum";
}

// Whether an operator may take a partial sum, with the right other operand.
bool may_take_sum(const Node& node, ValueId sum) {
  if (passes_sums(node.op) || node.op.as<Concat>()) return true;
  const auto* op = node.op.as<ElementwiseOp>();
  if (op == nullptr) return false;
  switch (op->fn) {
    case Elementwise::neg:
    case Elementwise::add:
    case Elementwise::sub:
      return true;
    case Elementwise::mul:
      return node.inputs[0] != node.inputs[1];
    case Elementwise::div:
      return node.inputs[1] != sum;
    default:
      return false;
  }
}

class Planner {
 public:
  Planner(const Function& f, const Mesh& mesh, const Desires& desires,
          const std::vector<Context>& context, AxisSet shared, States states)
      : f_(f), mesh_(mesh), desires_(desires), context_(context), shared_(shared) {
    result_.states = std::move(states);
    for (const Value& value : f.values) {
      const auto state = result_.states.find(value.resident);
      result_.values.push_back(state != result_.states.end() ? state->second
                                                             : Placement::whole(value.type.rank()));
    }
  }

  Placements run() {
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      result_.nodes.push_back(place(n));
      NodePlacement& placed = result_.nodes.back();
      if (placed.settled.empty()) placed.settled = placed.out;
      const std::vector<ValueId>& outputs = f_.nodes[n].outputs;
      for (size_t i = 0; i < outputs.size(); ++i)
        if (!stays_partial(outputs[i]))
          placed.settled[i] = added_up(outputs[i], placed.settled[i], placed.settled[i].partial);
      for (size_t i = 0; i < outputs.size(); ++i) value(outputs[i]) = placed.settled[i];
    }
    return std::move(result_);
  }

 private:
  Placement& value(ValueId id) { return result_.values[static_cast<size_t>(id)]; }
  const Dims& shape(ValueId id) const { return desires_.shape(id); }

  NodePlacement place(size_t n) {
    const Node& node = f_.nodes[n];
    if (node.op.as<Attention>()) {
      std::vector<Placement> in;
      for (const ValueId id : node.inputs) in.push_back(value(id));
      return place_attention(node, in, mesh_, desires_, context_);
    }
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

  // A sum that some reader needs is not added up again behind those that would take its addends.
  bool stays_partial(ValueId id) const {
    const std::vector<size_t>& users = desires_.users(id);
    return std::all_of(users.begin(), users.end(),
                       [&](size_t n) { return may_take_sum(f_.nodes[n], id); });
  }

  // Without the sum over these axes, which may leave it in the parts that are desired.
  Placement added_up(ValueId id, Placement p, AxisSet axes) const {
    for (int d = 0; d < shape(id).rank(); ++d) {
      const auto& wanted = desires_.at(id, d);
      auto& table = p.dims[static_cast<size_t>(d)];
      if (wanted && (wanted->axes() & ~axes) == 0 && !table) table = wanted;
    }
    p.partial &= ~axes;
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

  // Where the table of a factor is looked for first.
  enum class First { desires, operands };

  // The table of each factor: one that is desired, or the one that most elements have.
  Tables choose(const Node& node, const Factors& f, AxisSet taken, First first) {
    Tables chosen(f.list.size());
    const auto consider = [&](int factor, const std::optional<Table>& table) {
      if (factor < 0 || !table) return;
      auto& own = chosen[static_cast<size_t>(factor)];
      const Factors::Factor& all = f.list[static_cast<size_t>(factor)];
      if (own || all.whole || (table->axes() & taken) != 0) return;
      if (!all.in_result && !table->each_once(mesh_)) return;
      own = table;
      taken |= table->axes();
    };
    const auto desired = [&] {
      for (size_t i = 0; i < node.outputs.size(); ++i)
        for (size_t d = 0; d < f.out[i].size(); ++d)
          consider(f.out[i][d], desires_.at(node.outputs[i], static_cast<int>(d)));
      // Weights are whole, and read in the parts that are desired.
      for (size_t i = 0; i < node.inputs.size(); ++i)
        for (size_t d = 0; f_.value(node.inputs[i]).resident != kNone && d < f.in[i].size(); ++d)
          consider(f.in[i][d], desires_.at(node.inputs[i], static_cast<int>(d)));
    };
    if (first == First::desires) desired();
    for (const size_t i : by_size(node)) {
      const Placement& p = value(node.inputs[i]);
      for (size_t d = 0; d < p.dims.size(); ++d) consider(f.in[i][d], p.dims[d]);
    }
    if (first == First::operands) desired();
    return chosen;
  }

  // Operands, the largest first.
  std::vector<size_t> by_size(const Node& node) const {
    std::vector<size_t> order(node.inputs.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return elements(f_.type(node.inputs[a]).shape).value() >
             elements(f_.type(node.inputs[b]).shape).value();
    });
    return order;
  }

  double bytes(ValueId id) const { return static_cast<double>(size_of(f_.type(id).dtype)); }

  // Seconds that a node takes, with the exchange of its operands, and of its results to where they
  // are desired.
  double seconds(const Node& node, const Factors& f, const Tables& chosen,
                 const NodePlacement& p) const {
    double moved = 0, work = 1;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      moved += bytes(id) * static_cast<double>(moved_elements(
                               shape(id), result_.values[static_cast<size_t>(id)], p.in[i], mesh_));
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      moved += bytes(id) * static_cast<double>(moved_elements(shape(id), p.out[i],
                                                              as_desired(id, p.out[i]), mesh_));
    }
    for (size_t i = 0; i < f.list.size(); ++i)
      work *=
          static_cast<double>(f.list[i].extent) / (chosen[i] ? mesh_.size(chosen[i]->axes()) : 1);
    const bool sums = node.op.as<Matmul>() || node.op.as<Conv>();
    return work / (sums ? kPrices.sums_per_s : kPrices.bytes_per_s / bytes(node.outputs[0])) +
           moved / mesh_.size() / kPrices.link_bytes_per_s;
  }

  // The tables that are desired, in the place of others.
  Placement as_desired(ValueId id, Placement p) const {
    for (int d = 0; d < shape(id).rank(); ++d) {
      const auto& wanted = desires_.at(id, d);
      if (!wanted || (wanted->axes() & p.partial) != 0) continue;
      for (auto& table : p.dims)
        if (table && (table->axes() & wanted->axes()) != 0) table.reset();
      p.dims[static_cast<size_t>(d)] = wanted;
    }
    return p;
  }

  // Whether ranks that share a product out save more than gathering its result takes.
  bool worth_gathering(double sums, double weight_bytes, double result_bytes, int ranks) const {
    const double others = 1.0 - 1.0 / ranks;
    const double saved =
        others * std::max(sums / kPrices.sums_per_s, weight_bytes / kPrices.bytes_per_s);
    return saved > kPrices.link_latency_s + others * result_bytes / kPrices.link_bytes_per_s;
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
    const double weight = bytes(node.inputs[1]) *
                          static_cast<double>(elements(f_.type(node.inputs[1]).shape).value());
    if (columns < 0 || idle == 0 || mesh_.size(idle) == 1 || chosen[static_cast<size_t>(columns)] ||
        !worth_gathering(sums, weight, result * bytes(node.outputs[0]), mesh_.size(idle)))
      return Factors::kBroadcast;
    chosen[static_cast<size_t>(columns)] =
        Table::block(mesh_, idle, f.list[static_cast<size_t>(columns)].extent);
    return columns;
  }

  NodePlacement by_factors(const Node& node, const Factors& f) {
    const AxisSet passed = passed_partial(node, f);
    Tables chosen = choose(node, f, passed, First::desires);
    // Where desires and operands differ, the cheaper of both; of equal ones what is desired.
    if (Tables other = choose(node, f, passed, First::operands); other != chosen) {
      const double as_is = seconds(node, f, other, placed(node, f, other, passed));
      if (as_is < seconds(node, f, chosen, placed(node, f, chosen, passed)))
        chosen = std::move(other);
    }
    const int shared = passed == 0 ? share_columns(node, f, chosen) : Factors::kBroadcast;
    NodePlacement p = placed(node, f, chosen, passed);
    if (shared >= 0) {
      p.settled = p.out;
      for (size_t d = 0; d < f.out[0].size(); ++d)
        if (f.out[0][d] == shared) p.settled[0].dims[d].reset();
    }
    return p;
  }

  // With these tables of its factors.
  NodePlacement placed(const Node& node, const Factors& f, const Tables& chosen,
                       AxisSet passed) const {
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
    bool within = f.reduced_by.has_value();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      p.in.push_back(placement(f.in[i]));
      p.in.back().partial = result_.values[static_cast<size_t>(node.inputs[i])].partial & passed;
      within = within || f.addend[i];
    }
    for (const auto& dims : f.out) {
      p.out.push_back(placement(dims));
      p.out.back().partial = passed | summed;
    }
    if (summed != 0 && within) {
      p.reduced_within = summed;
      const Placement sum = p.out[0] = added_up(node.outputs[0], p.out[0], summed);
      // The addend is where the sum is.
      for (size_t i = 0; i < node.inputs.size(); ++i)
        for (size_t d = 0; f.addend[i] && d < f.in[i].size(); ++d)
          for (size_t o = 0; o < sum.dims.size(); ++o)
            if (f.in[i][d] >= 0 && f.in[i][d] == f.out[0][o]) p.in[i].dims[d] = sum.dims[o];
    }
    return p;
  }

  // Where a value is, cut as is desired: that takes nothing.
  Placement cut(ValueId id) {
    Placement p = value(id);
    for (size_t d = 0; d < p.dims.size(); ++d) {
      const auto& wanted = desires_.at(id, static_cast<int>(d));
      if (wanted && !p.dims[d] && (wanted->axes() & (p.split_axes() | p.partial)) == 0)
        p.dims[d] = wanted;
    }
    return p;
  }

  NodePlacement reshape(const Node& node) {
    const ValueId x = node.inputs[0], y = node.outputs[0];
    NodePlacement p{{cut(x)}, {Placement::whole(shape(y).rank())}, 0, 0, {}};
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
    NodePlacement p{{cut(x)}, {cut(x)}, 0, 0, {}};
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
        const auto table = cut(id).dims[d];
        if (d == axis || common.dims[d] || !table || (table->axes() & taken) != 0) continue;
        common.dims[d] = table;
        taken |= table->axes();
      }
    }
    AxisSet along = 0;
    for (const ValueId id : node.inputs)
      if (const auto table = cut(id).dims[axis]; table && (table->axes() & taken) == 0)
        along |= table->axes();
    std::vector<Table> parts;
    for (const ValueId id : node.inputs) {
      Placement own = common;
      own.partial = sums ? partial : 0;
      if (along != 0) {
        const auto table = cut(id).dims[axis];
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

  const Function& f_;
  const Mesh& mesh_;
  const Desires& desires_;
  const std::vector<Context>& context_;
  AxisSet shared_;
  Placements result_;
};

}  // namespace

Placements place_values(const Function& f, const Mesh& mesh, const Desires& desires,
                        const std::vector<Context>& context, AxisSet shared, States states) {
  return Planner(f, mesh, desires, context, shared, std::move(states)).run();
}

}  // namespace tutti::shard
