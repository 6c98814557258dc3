// SPDX-License-Identifier: Apache-2.0
#include "shard/localize.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/views.h"
#include "shard/reshard.h"
#include "shard/ring.h"

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

  Function run() {
    for (const ValueId id : f_.inputs)
      add_version(id, Placement::whole(f_.type(id).rank()),
                  local_.add_input(f_.value(id).name, f_.type(id)));
    for (size_t v = 0; v < f_.values.size(); ++v) {
      const Value& value = f_.values[v];
      if (value.resident == kNone) continue;
      add_version(static_cast<ValueId>(v), Placement::whole(value.type.rank()),
                  local_.read(value.resident, value.name, value.type));
    }
    for (size_t n = 0; n < f_.nodes.size(); ++n) add_node(f_.nodes[n], placements_.nodes[n]);
    for (const Output& output : f_.outputs)
      local_.outputs.push_back(
          {output.name, output.value == kNone
                            ? kNone
                            : version(output.value, whole(output.value), output.name)});
    for (const Update& update : f_.updates)
      local_.updates.push_back(
          {update.resident, version(update.value, whole(update.value), "update")});
    return std::move(local_);
  }

 private:
  struct Version {
    Placement placement;
    ValueId id;
  };

  Placement whole(ValueId id) const { return Placement::whole(f_.type(id).rank()); }
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
    add_version(id, wanted, made);
    return made;
  }

  void add_node(const Node& node, const NodePlacement& p) {
    std::vector<ValueId> in;
    const bool late = p.product_partial != 0;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (!(late && i == 2)) in.push_back(version(node.inputs[i], p.in[i], node.scope));
    std::vector<ValueId> out;
    if (late)
      out = {matmul_then_add(node, p, in)};
    else if (node.op.as<Attention>())
      out = {attention(node, p, in)};
    else if (node.op.as<Slice>())
      out = {slice(node, p, in[0])};
    else
      out = local_.add(local_op(node, p), in, f_.value(node.outputs[0]).name, node.scope);
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

  // The product of parts, its sum over ranks, and then the addend, once.
  ValueId matmul_then_add(const Node& node, const NodePlacement& p,
                          const std::vector<ValueId>& in) {
    Placement product = p.out[0];
    for (size_t d = 0; d < product.dims.size(); ++d)
      if (product.dims[d] && (product.dims[d]->axes() & p.product_partial) != 0)
        product.dims[d].reset();
    product.partial = p.product_partial;
    const ValueId parts = local_.add1(Matmul{}, in, "", node.scope);
    const ValueId sum =
        resharder_.reshard(parts, shape(node.outputs[0]), product, p.out[0], node.scope);
    const ValueId addend = version(node.inputs[2], p.in[2], node.scope);
    return local_.add1(ElementwiseOp{Elementwise::add}, {sum, addend}, "", node.scope);
  }

  // Query heads of this rank may share its heads of keys unevenly: then keys are repeated.
  ValueId attention(const Node& node, const NodePlacement& p, std::vector<ValueId> in) {
    const int64_t n = shape(node.inputs[0])[1], m = shape(node.inputs[1])[1];
    const Ranges own = held(p.in[0], 1, n, rank_), keys = held(p.in[1], 1, m, rank_);
    Ranges each;
    bool regular = keys.size() > 0 && own.size() % keys.size() == 0;
    const int64_t local_group = regular ? own.size() / keys.size() : 1;
    int64_t index = 0;
    for (const Range& r : own.list()) {
      for (int64_t h = r.begin; h < r.end; ++h, ++index) {
        const int64_t group = n / m;
        const int64_t key = h / group;
        const int64_t position = keys.sure_positions_of({{key, key + 1}}).list()[0].begin;
        regular = regular && position == index / local_group;
        each.add({position, position + 1});
      }
    }
    if (!regular && own.size() > 0)
      for (size_t i = 1; i <= 2; ++i) in[i] = resharder_.take(in[i], 1, each, node.scope);
    const Attention& op = *node.op.as<Attention>();
    if (const auto& keys_held = p.in[1].dims[2]; keys_held && keys_held->axes() != 0)
      return add_ring(local_, mesh_, rank_,
                      {op, keys_held->axes(), *keys_held, p.in[0].dims[2], in[0], in[1], in[2],
                       in.size() > 3 ? in[3] : kNone, node.scope});
    if (op.causal && p.in[0].dims[2]) return causal_rows(node, p, in);
    return local_.add1(node.op, in, f_.value(node.outputs[0]).name, node.scope);
  }

  // A range of queries attends to the keys up to it.
  ValueId causal_rows(const Node& node, const NodePlacement& p, const std::vector<ValueId>& in) {
    const Ranges rows = held(p.in[0], 2, shape(node.inputs[0])[2], rank_);
    const Attention& whole = *node.op.as<Attention>();
    std::vector<ValueId> parts;
    int64_t start = 0;
    for (const Range& r : rows.list()) {
      const Range own{start, start + r.size()};
      const Range keys{0, std::clamp<int64_t>(r.end + whole.offset, 0, shape(node.inputs[1])[2])};
      std::vector<ValueId> part = {resharder_.take(in[0], 2, {own}, node.scope),
                                   resharder_.take(in[1], 2, {keys}, node.scope),
                                   resharder_.take(in[2], 2, {keys}, node.scope)};
      if (in.size() > 3) part.push_back(resharder_.take_mask(in[3], {own}, {keys}, node.scope));
      Attention op = whole;
      op.offset += r.begin;
      parts.push_back(local_.add1(op, part, "", node.scope));
      start += r.size();
    }
    if (parts.empty()) return local_.add1(node.op, in, "", node.scope);
    return parts.size() == 1 ? parts[0] : local_.add1(Concat{2}, parts, "", node.scope);
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
};

}  // namespace

Function localize(const Function& f, const Mesh& mesh, const Placements& placements, int rank) {
  return Localizer(f, mesh, placements, rank).run();
}

}  // namespace tutti::shard
