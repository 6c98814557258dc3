// SPDX-License-Identifier: Apache-2.0
#include "shard/localize.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/views.h"
#include "shard/attention_local.h"
#include "shard/parts.h"
#include "shard/reshard.h"

namespace tutti::shard {
namespace {

class Localizer {
 public:
  Localizer(const Function& f, const Mesh& mesh, const Placements& placements, int rank)
      : f_(f),
        mesh_(mesh),
        placements_(placements),
        rank_(rank),
        resharder_(local_, mesh, rank),
        versions_(f.values.size()) {
    local_.name = f.name;
  }

  LocalFunction run() {
    for (const ValueId id : f_.inputs)
      add_version(id, Placement::whole(f_.type(id).rank()),
                  local_.add_input(f_.value(id).name, f_.type(id)));
    for (size_t v = 0; v < f_.values.size(); ++v) {
      const Value& value = f_.values[v];
      if (value.resident == kNone) continue;
      const Placement& at = placements_.values[v];
      const Dims own = local_shape(at, shape(static_cast<ValueId>(v)), rank_);
      add_version(static_cast<ValueId>(v), at,
                  local_.read(value.resident, value.name, {value.type.dtype, to_shape(own)}));
    }
    count_rounds();
    for (size_t n = 0; n < f_.nodes.size(); ++n) add_node(f_.nodes[n], placements_.nodes[n]);
    for (const Output& output : f_.outputs)
      local_.outputs.push_back(
          {output.name, output.value == kNone
                            ? kNone
                            : version(output.value, whole(output.value), output.name)});
    for (const Update& update : f_.updates)
      local_.updates.push_back({update.resident, version(update.value, state(update), "update")});
    return {std::move(local_), std::move(rounds_)};
  }

 private:
  struct Version {
    Placement placement;
    ValueId id;
  };

  Placement whole(ValueId id) const { return Placement::whole(f_.type(id).rank()); }
  Placement state(const Update& update) const {
    const auto at = placements_.states.find(update.resident);
    return at != placements_.states.end() ? at->second : whole(update.value);
  }
  Dims shape(ValueId id) const { return constant_dims(f_.type(id).shape); }
  std::vector<Version>& versions(ValueId id) { return versions_[static_cast<size_t>(id)]; }
  void add_version(ValueId id, Placement placement, ValueId local) {
    versions(id).push_back({std::move(placement), local});
  }

  // This rank's part of a value under a placement; what was made once is used again.
  ValueId version(ValueId id, const Placement& wanted, const std::string& scope) {
    const Version* best = nullptr;
    int64_t least = INT64_MAX;
    for (const Version& v : versions(id)) {
      if (v.placement == wanted) return v.id;
      if ((wanted.partial & ~v.placement.partial) != 0) continue;
      const int64_t moved = moved_elements(shape(id), v.placement, wanted, mesh_);
      if (moved < least) {
        least = moved;
        best = &v;
      }
    }
    require(best != nullptr, Errc::internal, "shard: value ", f_.value(id).name,
            " has no version to come from");
    const ValueId made = resharder_.reshard(best->id, shape(id), best->placement, wanted, scope);
    count_rounds();
    add_version(id, wanted, made);
    return made;
  }

  // Values made since wait for what they are made of, and all for as much as `floor_` says.
  void count_rounds() {
    rounds_.resize(local_.values.size());
    for (; counted_ < local_.nodes.size(); ++counted_) {
      const Node& node = local_.nodes[counted_];
      int own = floor_;
      for (const ValueId id : node.inputs) own = std::max(own, rounds(id));
      if (is_collective(node.op) && !is_message(node.op)) ++own;
      for (const ValueId id : node.outputs) rounds(id) = own;
    }
  }
  int& rounds(ValueId local) { return rounds_[static_cast<size_t>(local)]; }

  // What a rank adds for a node waits for all that the node does, on any rank.
  void begin_node(const std::vector<ValueId>& in, bool messages) {
    for (const ValueId id : in) floor_ = std::max(floor_, rounds(id));
    if (messages) floor_ = message_round_ = std::max(floor_, message_round_);
  }
  void end_node(const std::vector<ValueId>& out, bool messages) {
    count_rounds();
    for (const ValueId id : out)
      if (messages) rounds(id) = floor_ + 1;
    floor_ = 0;
  }

  void add_node(const Node& node, const NodePlacement& p) {
    const bool messages = p.travels != 0 || is_message(node.op);
    std::vector<ValueId> in;
    const auto f = p.reduced_within != 0 ? factors(f_, node) : std::nullopt;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (!f || !f->addend[i]) in.push_back(version(node.inputs[i], p.in[i], node.scope));
    begin_node(in, messages);
    std::vector<ValueId> out;
    if (f)
      out = {reduced_within(node, p, *f, in)};
    else if (node.op.as<Attention>())
      out = {localize_attention(local_, mesh_, rank_,
                                {node, shape(node.inputs[0]), shape(node.inputs[1]), p, in,
                                 f_.value(node.outputs[0]).name})};
    else if (node.op.as<Slice>())
      out = {slice(node, p, in[0])};
    else
      out = add_part(node, p, in);
    end_node(out, messages);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      add_version(node.outputs[i], p.out[i], out[i]);
      check(node, p.out[i], node.outputs[i], out[i]);
      if (!(p.settled[i] == p.out[i])) version(node.outputs[i], p.settled[i], node.scope);
    }
  }

  void check(const Node& node, const Placement& p, ValueId global, ValueId local) const {
    const Dims wanted = local_shape(p, shape(global), rank_);
    const Dims found = constant_dims(local_.type(local).shape);
    require(found == wanted, Errc::internal, "shard: ", node.op.name(), " ", node.scope,
            " on rank ", rank_, " gives ", found, "; ", wanted, " is wanted");
  }

  // What the parts give, reduced over ranks, and then the addend, once.
  ValueId reduced_within(const Node& node, const NodePlacement& p, const Factors& f,
                         const std::vector<ValueId>& in) {
    const ValueId y = node.outputs[0];
    Placement part = p.out[0];
    for (auto& table : part.dims)
      if (table && (table->axes() & p.reduced_within) != 0) table.reset();
    part.partial = p.reduced_within;
    const ValueId result = resharder_.reshard(add_part(node, p, in)[0], shape(y), part, p.out[0],
                                              node.scope, f.reduced_by.value_or(comm::Reduce::sum));
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!f.addend[i]) continue;
      ValueId addend = version(node.inputs[i], p.in[i], node.scope);
      // A convolution's is of the channels.
      if (node.op.as<Conv>()) {
        Shape channels(shape(y).rank() - 1, 1);
        channels[0] = local_.type(addend).shape[0];
        addend = local_.add1(Reshape{channels}, {addend}, "", node.scope);
      }
      return local_.add1(ElementwiseOp{Elementwise::add}, {result, addend}, "", node.scope);
    }
    return result;
  }

  std::vector<ValueId> add_part(const Node& node, const NodePlacement& p,
                                const std::vector<ValueId>& in) {
    Held x;
    if (!node.inputs.empty()) {
      x.extents = shape(node.inputs[0]);
      for (int d = 0; d < x.extents.rank(); ++d)
        x.ranges.push_back(held(p.in[0], d, x.extents[d], rank_));
    }
    return add_on_part(local_, local_op(node, p), x, in, f_.value(node.outputs[0]).name,
                       node.scope);
  }

  ValueId slice(const Node& node, const NodePlacement& p, ValueId x) {
    const Slice& op = *node.op.as<Slice>();
    const auto axis = static_cast<int>(op.axis);
    if (!p.in[0].dims[static_cast<size_t>(axis)])
      return local_.add1(op, {x}, f_.value(node.outputs[0]).name, node.scope);
    const Ranges own = held(p.in[0], axis, shape(node.inputs[0])[axis], rank_);
    const Ranges wanted = own.within({op.start.value(), op.start.value() + op.size.value()});
    return resharder_.take(x, axis, own.sure_positions_of(wanted), node.scope);
  }

  // The operator with the extents of this rank.
  Op local_op(const Node& node, const NodePlacement& p) const {
    const Dims out = local_shape(p.out[0], shape(node.outputs[0]), rank_);
    if (node.op.as<Reshape>()) return Reshape{to_shape(out)};
    if (node.op.as<Expand>()) return Expand{to_shape(out)};
    return node.op;
  }

  const Function& f_;
  const Mesh& mesh_;
  const Placements& placements_;
  int rank_;
  Function local_;
  Resharder resharder_;
  std::vector<std::vector<Version>> versions_;  // by value
  std::vector<int> rounds_;                     // by value of local_
  size_t counted_ = 0;                          // nodes of local_ whose results have them
  int floor_ = 0;                               // rounds that the node being added waits for
  int message_round_ = 0;                       // and the last one that sends messages
};

}  // namespace

LocalFunction localize(const Function& f, const Mesh& mesh, const Placements& placements,
                       int rank) {
  return Localizer(f, mesh, placements, rank).run();
}

}  // namespace tutti::shard
