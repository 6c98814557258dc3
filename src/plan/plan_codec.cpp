// SPDX-License-Identifier: Apache-2.0
#include "plan/plan_codec.h"

#include <algorithm>
#include <map>

#include "ops/all.h"
#include "plan/reach.h"

namespace tutti {
namespace {

constexpr uint8_t kHeld = 1, kPresent = 2;  // flags of a port
constexpr int kPlaceCount = 6;

// Operators by their text: many steps share one.
class OpTable {
 public:
  uint32_t index(const Op& op) {
    ByteWriter text;
    text.put_text(op.name());
    const Attributes attributes = op.attributes();
    text.put_count(attributes.size());
    for (const auto& [name, value] : attributes) {
      text.put_text(name);
      text.put_text(value);
    }
    const auto [at, added] = known_.try_emplace(text.bytes(), static_cast<uint32_t>(known_.size()));
    if (added) table_ += text.bytes();
    return at->second;
  }

  size_t size() const { return known_.size(); }
  const std::string& bytes() const { return table_; }

 private:
  std::map<std::string, uint32_t> known_;
  std::string table_;
};

void put_state(ByteWriter& out, ResidentId resident, const shard::Placement& placement) {
  out.put(resident);
  out.put_count(placement.dims.size());
  for (const std::optional<shard::Table>& table : placement.dims) {
    out.put_count(table ? static_cast<size_t>(table->ranks()) : 0);
    if (!table) continue;
    out.put(table->extent());
    out.put(table->axes());
    for (int r = 0; r < table->ranks(); ++r) {
      out.put_count(table->on(r).list().size());
      for (const shard::Range& range : table->on(r).list()) {
        out.put(range.begin);
        out.put(range.end);
      }
    }
  }
}

void put_operand(ByteWriter& out, const Operand& operand) {
  out.put(static_cast<uint8_t>(operand.place));
  out.put(static_cast<uint8_t>(operand.dtype));
  out.put(operand.index);
  out.put(operand.offset);
  out.put_dims(operand.shape);
  for (int64_t stride : operand.strides) out.put(stride);
}

void put_steps(ByteWriter& out, const std::vector<Step>& steps, OpTable& ops) {
  out.put_count(steps.size());
  for (const Step& step : steps) {
    out.put(ops.index(step.op));
    out.put_text(step.implementation);
    out.put_text(step.scope);
    for (const auto* side : {&step.in, &step.out}) {
      out.put_count(side->size());
      for (const Operand& operand : *side) put_operand(out, operand);
    }
  }
}

void put_ports(ByteWriter& out, const std::vector<Port>& ports) {
  out.put_count(ports.size());
  for (const Port& port : ports) {
    out.put_text(port.name);
    out.put(static_cast<uint8_t>(port.dtype));
    out.put(static_cast<uint8_t>((port.held ? kHeld : 0) | (port.present ? kPresent : 0)));
    out.put_dims(port.shape);
  }
}

void put_plan(ByteWriter& out, const Plan& plan, OpTable& ops) {
  out.put_count(plan.symbols.size());
  for (const auto& [name, value] : plan.symbols) {
    out.put_text(name);
    out.put(value);
  }
  out.put(plan.rank);
  put_ports(out, plan.inputs);
  put_ports(out, plan.outputs);
  out.put_count(plan.constants.size());
  for (const Tensor& constant : plan.constants) {
    const Tensor dense = contiguous(constant);
    out.put(static_cast<uint8_t>(dense.dtype));
    out.put_dims(dense.shape);
    out.put_bytes({dense.as<std::byte>(), dense.bytes()});
  }
  out.put(plan.arena_bytes);
  out.put(plan.held_bytes);
  put_steps(out, plan.prepare, ops);
  put_steps(out, plan.run, ops);
}

std::optional<shard::Table> get_table(ByteReader& in) {
  std::vector<shard::Ranges> by_rank(in.get_count("ranks", 4));
  if (by_rank.empty()) return std::nullopt;
  const auto extent = in.get<int64_t>("extent");
  const auto axes = in.get<shard::AxisSet>("axes");
  for (shard::Ranges& ranges : by_rank)
    for (size_t i = in.get_count("ranges", 16); i > 0; --i) {
      const auto begin = in.get<int64_t>("begin"), end = in.get<int64_t>("end");
      in.check(begin >= 0 && begin < end, "range is ", begin, " to ", end);
      ranges.add({begin, end});
    }
  return shard::Table(extent, axes, std::move(by_rank));
}

shard::States get_states(ByteReader& in) {
  shard::States states;
  for (size_t i = in.get_count("states", 8); i > 0; --i) {
    const auto resident = in.get<ResidentId>("resident");
    shard::Placement placement;
    for (size_t d = in.get_count("dimensions", 4); d > 0; --d)
      placement.dims.push_back(get_table(in));
    in.check(states.emplace(resident, std::move(placement)).second, "state of resident ", resident,
             " is there twice");
  }
  return states;
}

DType get_dtype(ByteReader& in) { return static_cast<DType>(in.get_enum("dtype", kDTypeCount)); }

std::vector<Op> get_ops(ByteReader& in) {
  std::vector<Op> ops(in.get_count("operators", 8));
  for (Op& op : ops) {
    const std::string name = in.get_text("operator");
    Attributes attributes(in.get_count("attributes", 8));
    for (auto& [key, value] : attributes) {
      key = in.get_text("attribute");
      value = in.get_text("value");
    }
    op = make_op(name, attributes);
  }
  return ops;
}

Operand get_operand(ByteReader& in) {
  Operand operand;
  operand.place = static_cast<Place>(in.get_enum("place", kPlaceCount));
  operand.dtype = get_dtype(in);
  operand.index = in.get<int32_t>("index");
  operand.offset = in.get<int64_t>("offset");
  operand.shape = in.get_dims("shape");
  operand.strides = operand.shape;
  for (int64_t& stride : operand.strides) stride = in.get<int64_t>("stride");
  return operand;
}

std::vector<Step> get_steps(ByteReader& in, const std::vector<Op>& ops) {
  std::vector<Step> steps(in.get_count("steps", 20));
  for (Step& step : steps) {
    const auto op = in.get<uint32_t>("operator");
    in.check(op < ops.size(), "operator is ", op, " of ", ops.size());
    step.op = ops[op];
    step.implementation = in.get_text("implementation");
    step.scope = in.get_text("scope");
    for (auto* side : {&step.in, &step.out}) {
      side->resize(in.get_count("operands", 15));
      for (Operand& operand : *side) operand = get_operand(in);
    }
  }
  return steps;
}

std::vector<Port> get_ports(ByteReader& in) {
  std::vector<Port> ports(in.get_count("ports", 7));
  for (Port& port : ports) {
    port.name = in.get_text("port");
    port.dtype = get_dtype(in);
    const uint8_t flags = in.get_enum("port flags", 4);
    port.held = flags & kHeld;
    port.present = flags & kPresent;
    port.shape = in.get_dims("shape");
  }
  return ports;
}

Tensor get_constant(ByteReader& in) {
  const DType dtype = get_dtype(in);
  const Dims shape = in.get_dims("shape");
  const auto size = dense_bytes(dtype, shape);
  in.check(size.has_value(), "constant is ", describe(dtype, shape), "; that fits no memory");
  const auto bytes = in.take(static_cast<size_t>(*size), "constant");
  in.check(dtype != DType::boolean ||
               std::all_of(bytes.begin(), bytes.end(), [](auto b) { return b <= std::byte{1}; }),
           "constant has booleans that are neither 0 nor 1");
  const Tensor tensor = Tensor::zeros(dtype, shape);
  std::copy(bytes.begin(), bytes.end(), tensor.as<std::byte>());
  return tensor;
}

Plan get_plan(ByteReader& in, const std::vector<Op>& ops) {
  Plan plan;
  for (size_t i = in.get_count("symbols", 12); i > 0; --i) {
    std::string name = in.get_text("symbol");
    const auto value = in.get<int64_t>("value");
    in.check(plan.symbols.emplace(name, value).second, "symbol ", name, " is there twice");
  }
  plan.rank = in.get<int32_t>("rank");
  in.check(plan.rank >= 0, "rank is ", plan.rank, "; 0 or more is wanted");
  plan.inputs = get_ports(in);
  plan.outputs = get_ports(in);
  for (size_t i = in.get_count("constants", 2); i > 0; --i)
    plan.constants.push_back(get_constant(in));
  plan.arena_bytes = in.get<int64_t>("arena bytes");
  plan.held_bytes = in.get<int64_t>("held bytes");
  plan.prepare = get_steps(in, ops);
  plan.run = get_steps(in, ops);
  return plan;
}

}  // namespace

std::string encode_plans(const Program& program) {
  OpTable ops;
  ByteWriter plans;
  plans.put_count(program.plans.size());
  for (const Plan& plan : program.plans) put_plan(plans, plan, ops);
  ByteWriter out;
  out.put_count(program.held.size());
  for (const std::string& name : program.held) out.put_text(name);
  out.put_text(program.mesh);
  out.put_text(program.context);
  out.put_count(program.states.size());
  for (const auto& [resident, placement] : program.states) put_state(out, resident, placement);
  out.put_count(ops.size());
  return out.bytes() + ops.bytes() + plans.bytes();
}

void decode_plans(ByteReader& in, Program& program) {
  for (size_t i = in.get_count("held inputs", 4); i > 0; --i)
    program.held.push_back(in.get_text("held input"));
  program.mesh = in.get_text("mesh");
  program.context = in.get_text("context");
  program.states = get_states(in);
  const std::vector<Op> ops = get_ops(in);
  for (size_t i = in.get_count("plans", 48); i > 0; --i) program.plans.push_back(get_plan(in, ops));
  in.finish();
}

}  // namespace tutti
