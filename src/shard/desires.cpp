// SPDX-License-Identifier: Apache-2.0
#include "shard/desires.h"

#include <algorithm>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/views.h"
#include "shard/links.h"

namespace tutti::shard {
namespace {

bool reads(const Node& node, ValueId value) {
  return std::find(node.inputs.begin(), node.inputs.end(), value) != node.inputs.end();
}

}  // namespace

Desires::Desires(const Function& f, const Mesh& mesh) : f_(f), mesh_(mesh) {
  auto facts = std::make_shared<Facts>();
  facts->users.resize(f.values.size());
  for (const Value& value : f.values) {
    facts->shapes.push_back(constant_dims(value.type.shape));
    tables_.emplace_back(value.type.shape.size());
    origins_.emplace_back(value.type.shape.size());
  }
  for (size_t n = 0; n < f.nodes.size(); ++n) {
    const Node& node = f.nodes[n];
    facts->factors.push_back(shard::factors(f, node));
    for (const ValueId id : node.inputs) {
      std::vector<size_t>& users = facts->users[static_cast<size_t>(id)];
      if (users.empty() || users.back() != n) users.push_back(n);
    }
  }
  for (const Update& update : f.updates) {
    const auto reads = std::find_if(f.values.begin(), f.values.end(), [&](const Value& value) {
      return value.resident == update.resident;
    });
    facts->reads.push_back(
        reads == f.values.end() ? kNone : static_cast<ValueId>(reads - f.values.begin()));
  }
  facts_ = std::move(facts);
}

Desires Desires::none() const {
  Desires result = *this;
  result.decomposes_ = false;
  result.clear();
  return result;
}

void Desires::clear() {
  for (const Spot& spot : placed_)
    tables_[static_cast<size_t>(spot.value)][static_cast<size_t>(spot.dim)].reset();
  placed_.clear();
}

bool Desires::set(ValueId value, int dim, const Table& table) {
  auto& tables = tables_[static_cast<size_t>(value)];
  require(table.extent() == shape(value)[dim], Errc::internal, "shard: value ",
          f_.value(value).name, ", dimension ", dim, " of ", shape(value)[dim], ": table of ",
          table.extent());
  if (shape(value)[dim] == 1 || tables[static_cast<size_t>(dim)]) return false;
  for (const auto& other : tables)
    if (other && (other->axes() & table.axes()) != 0) return false;
  tables[static_cast<size_t>(dim)] = table;
  origins_[static_cast<size_t>(value)][static_cast<size_t>(dim)] = now_;
  placed_.push_back({value, dim});
  queue_.push_back({value, dim});
  return true;
}

bool Desires::seed(ValueId value, int dim, const Table& table, const char* reason) {
  now_ = {reason, kNone, dim, 0};
  if (!set(value, dim, table)) return false;
  while (!queue_.empty()) {
    const Spot spot = queue_.front();
    queue_.pop_front();
    spread(spot);
  }
  return true;
}

void Desires::spread(Spot spot) {
  const Table table = *at(spot.value, spot.dim);
  std::vector<size_t> nodes = users(spot.value);
  const int32_t producer = f_.value(spot.value).producer;
  if (producer != kNone) nodes.push_back(static_cast<size_t>(producer));
  for (const size_t n : nodes) {
    const Node& node = f_.nodes[n];
    now_ = {"", spot.value, spot.dim, n};
    if (factors(n)) through_factors(node, *factors(n), spot, table);
    if (node.op.as<Attention>()) through_heads(node, spot, table);
    if (node.op.as<Reshape>()) through_reshape(node, spot, table);
    if (node.op.as<Slice>()) through_slice(node, spot, table);
    if (node.op.as<Concat>()) through_concat(node, spot, table);
  }
  through_updates(spot, table);
}

void Desires::through_updates(Spot spot, const Table& table) {
  now_ = {"", spot.value, spot.dim, kUpdate};
  for (size_t u = 0; u < f_.updates.size(); ++u) {
    const ValueId before = facts_->reads[u], after = f_.updates[u].value;
    if (before == kNone) continue;
    if (spot.value == before) set(after, spot.dim, table);
    if (spot.value == after) set(before, spot.dim, table);
  }
}

States Desires::states() const {
  States states;
  for (size_t u = 0; u < f_.updates.size(); ++u) {
    const ValueId before = facts_->reads[u], after = f_.updates[u].value;
    Placement p = Placement::whole(shape(after).rank());
    for (int d = 0; before != kNone && d < shape(after).rank(); ++d)
      if (at(before, d) == at(after, d)) p.dims[static_cast<size_t>(d)] = at(before, d);
    states.emplace(f_.updates[u].resident, std::move(p));
  }
  return states;
}

void Desires::through_factors(const Node& node, const Factors& f, Spot spot, const Table& table) {
  const auto visit = [&](const auto& each) {
    for (size_t i = 0; i < node.inputs.size(); ++i)
      for (size_t d = 0; d < f.in[i].size(); ++d)
        each(node.inputs[i], static_cast<int>(d), f.in[i][d]);
    for (size_t i = 0; i < node.outputs.size(); ++i)
      for (size_t d = 0; d < f.out[i].size(); ++d)
        each(node.outputs[i], static_cast<int>(d), f.out[i][d]);
  };
  const auto spreads = [&](int factor) {
    if (factor < 0) return false;
    const Factors::Factor& own = f.list[static_cast<size_t>(factor)];
    return !own.whole || (own.decomposes && decomposes_);
  };
  std::vector<int> reached;
  visit([&](ValueId id, int dim, int factor) {
    if (id == spot.value && dim == spot.dim && spreads(factor)) reached.push_back(factor);
  });
  visit([&](ValueId id, int dim, int factor) {
    if (std::find(reached.begin(), reached.end(), factor) != reached.end()) set(id, dim, table);
  });
}

// Query heads that share a head of keys: their tables differ by the number that share. Ranks may
// have a head of keys together, but no head of queries.
void Desires::through_heads(const Node& node, Spot spot, const Table& table) {
  const int64_t n = shape(node.inputs[0])[1], m = shape(node.inputs[1])[1];
  if (spot.dim != 1 || n == m) return;
  if (spot.value == node.inputs[1] || spot.value == node.inputs[2]) {
    for (const ValueId id : {node.inputs[1], node.inputs[2]}) set(id, 1, table);
    if (!table.each_once(mesh_)) return;
    for (const ValueId id : {node.inputs[0], node.outputs[0]}) set(id, 1, table.scaled(n / m));
  } else if (spot.value == node.inputs[0] || spot.value == node.outputs[0]) {
    for (size_t i = 1; i <= 2; ++i) set(node.inputs[i], 1, table.shared(n / m));
  }
}

void Desires::through_reshape(const Node& node, Spot spot, const Table& table) {
  const ValueId x = node.inputs[0], y = node.outputs[0];
  const ValueId other = spot.value == x ? y : x;
  std::vector<std::optional<Table>> tables(static_cast<size_t>(shape(spot.value).rank()));
  tables[static_cast<size_t>(spot.dim)] = table;
  const auto there = reshape_tables(shape(spot.value), tables, shape(other), mesh_);
  if (!there) return;
  for (size_t d = 0; d < there->size(); ++d)
    if ((*there)[d]) set(other, static_cast<int>(d), *(*there)[d]);
}

void Desires::through_slice(const Node& node, Spot spot, const Table& table) {
  const auto& op = *node.op.as<Slice>();
  const ValueId x = node.inputs[0], y = node.outputs[0];
  if (spot.dim != op.axis) {
    set(spot.value == x ? y : x, spot.dim, table);
    return;
  }
  if (op.step != 1) return;
  if (spot.value == x) {
    set(y, spot.dim, table.cut(op.start.value(), op.size.value()));
    return;
  }
  // The whole has a table when slices that follow each other have one each.
  std::vector<std::pair<int64_t, Table>> parts;
  for (const size_t user : users(x)) {
    const auto* slice = f_.nodes[user].op.as<Slice>();
    if (slice == nullptr || slice->axis != op.axis || slice->step != 1) return;
    const auto& part = at(f_.nodes[user].outputs[0], spot.dim);
    if (!part) return;
    parts.emplace_back(slice->start.value(), *part);
  }
  std::sort(parts.begin(), parts.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Table> tables;
  int64_t end = 0;
  for (const auto& [start, part] : parts) {
    if (start != end) return;
    end += part.extent();
    tables.push_back(part);
  }
  if (end == shape(x)[spot.dim]) set(x, spot.dim, Table::joined(tables));
}

void Desires::through_concat(const Node& node, Spot spot, const Table& table) {
  const auto axis = static_cast<int>(node.op.as<Concat>()->axis);
  const ValueId y = node.outputs[0];
  if (spot.dim != axis) {
    for (const ValueId id : node.inputs) set(id, spot.dim, table);
    set(y, spot.dim, table);
    return;
  }
  if (spot.value == y) {
    int64_t start = 0;
    for (const ValueId id : node.inputs) {
      set(id, axis, table.cut(start, shape(id)[axis]));
      start += shape(id)[axis];
    }
  }
  if (!reads(node, spot.value)) return;
  std::vector<Table> parts;
  for (const ValueId id : node.inputs) {
    if (!at(id, axis)) return;
    parts.push_back(*at(id, axis));
  }
  set(y, axis, Table::joined(parts));
}

}  // namespace tutti::shard
