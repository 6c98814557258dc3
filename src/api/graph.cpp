// SPDX-License-Identifier: Apache-2.0
#include "tutti/graph.h"

#include "api/network.h"
#include "core/error.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/all.h"
#include "ops/constant.h"
#include "ops/implementation.h"
#include "shard/factors.h"

namespace tutti {

Extents to_extents(const Shape& shape) {
  Extents extents;
  for (const Dim& dim : shape) extents.emplace_back(to_string(dim));
  return extents;
}

Shape to_shape(const Extents& extents) {
  Shape shape;
  for (const Extent& extent : extents) shape.push_back(Dim::parse(extent.text));
  return shape;
}

Attribute::Attribute(bool value) : text_(attribute_text(value)) {}
Attribute::Attribute(int64_t value) : text_(attribute_text(value)) {}
Attribute::Attribute(double value) : text_(attribute_text(value)) {}
Attribute::Attribute(const char* value) : text_(attribute_text(std::string(value))) {}
Attribute::Attribute(const std::string& value) : text_(attribute_text(value)) {}
Attribute::Attribute(DType value) : text_(attribute_text(value)) {}
Attribute::Attribute(const Tensor& value) : text_(attribute_text(value)) {}
Attribute::Attribute(std::initializer_list<int64_t> values)
    : Attribute(std::vector<int64_t>(values)) {}
Attribute::Attribute(const std::vector<int64_t>& values) : text_(attribute_text(values)) {}
Attribute::Attribute(const std::vector<double>& values) : text_(attribute_text(values)) {}
Attribute::Attribute(const Extent& value) : text_(attribute_text(Dim::parse(value.text))) {}
Attribute::Attribute(std::initializer_list<Extent> values) : Attribute(Extents(values)) {}
Attribute::Attribute(const Extents& values) : text_(attribute_text(to_shape(values))) {}

namespace {

// Symbols that are met for the first time may be 1 or more.
TensorType declare(Graph& graph, const std::string& name, DType dtype, const Extents& extents) {
  TensorType type{dtype, {}};
  try {
    type.shape = to_shape(extents);
    require_argument(type.rank() <= Dims::kMaxRank, "rank ", type.rank(), "; at most ",
                     Dims::kMaxRank, " is wanted");
    std::set<std::string> symbols;
    for (const Dim& dim : type.shape) {
      require_argument(!dim.is_constant() || dim.value() >= 0, "extent ", dim,
                       "; 0 or more is wanted");
      dim.collect_symbols(symbols);
    }
    for (const std::string& symbol : symbols) {
      require_argument(is_symbol_name(symbol), "'", symbol, "' cannot name an extent");
      graph.symbols.try_emplace(symbol, Symbol{1, INT64_MAX});
    }
  } catch (const Error& error) {
    throw Error(error.code(), join(name, ": ", error.what()));
  }
  return type;
}

}  // namespace

DType Expression::dtype() const { return network().run().type(id_).dtype; }
Extents Expression::shape() const { return to_extents(network().run().type(id_).shape); }
int Expression::rank() const { return network().run().type(id_).rank(); }
std::string Expression::describe() const { return to_string(network().run().type(id_)); }

Expression::Network& Expression::network() const {
  require_argument(network_ != nullptr, "an expression made by default was used as an operand");
  return *network_;
}

Expression Expression::constant_like(double value) const {
  const Op op = Full{value, dtype(), {}};
  return {network_, network().run().add1(op, {}, {}, network_->scope)};
}

GraphBuilder::GraphBuilder() : network_(std::make_shared<Expression::Network>()) {
  network_->graph.functions.push_back({.name = "run"});
}
GraphBuilder::GraphBuilder(std::shared_ptr<Expression::Network> network)
    : network_(std::move(network)) {}
GraphBuilder::~GraphBuilder() = default;
GraphBuilder::GraphBuilder(GraphBuilder&&) noexcept = default;
GraphBuilder& GraphBuilder::operator=(GraphBuilder&&) noexcept = default;

Expression GraphBuilder::input(const std::string& name, DType dtype, const Extents& shape) {
  Function& run = network_->run();
  for (const Value& value : run.values)
    require_argument(value.name != name, "input ", name, ": the name is taken");
  return {network_, run.add_input(name, declare(network_->graph, "input " + name, dtype, shape))};
}

Expression GraphBuilder::add_resident(const std::string& name, DType dtype, const Dims& shape,
                                      const Tensor& value, bool carried) {
  Graph& graph = network_->graph;
  require_argument(!name.empty(), "a weight or state has an empty name");
  require_argument(graph.find_resident(name) == kNone, name, ": the name is taken");
  const TensorType type{dtype, tutti::to_shape(shape)};
  const auto kind = carried ? Resident::Kind::carried : Resident::Kind::bound;
  const ResidentId id = graph.add_resident({name, type, kind, value});
  return {network_, network_->run().read(id, name, type)};
}

Expression GraphBuilder::weight(const std::string& name, const Tensor& value) {
  require_argument(value.data != nullptr || value.elements() == 0, "weight ", name,
                   " has no bytes; give type and shape to bind it later");
  return add_resident(name, value.dtype, value.shape, value, false);
}

Expression GraphBuilder::weight(const std::string& name, DType dtype, const Dims& shape) {
  return add_resident(name, dtype, shape, {}, false);
}

Expression GraphBuilder::state(const std::string& name, const Tensor& value) {
  return add_resident(name, value.dtype, value.shape, value, true);
}

void GraphBuilder::update(const Expression& state, const Expression& value) {
  check(state);
  check(value);
  Function& run = network_->run();
  const ResidentId id = run.value(state.id_).resident;
  require_argument(id != kNone, "update: ", run.value(state.id_).name, " is no state");
  const Resident& resident = network_->graph.residents[static_cast<size_t>(id)];
  require_argument(resident.kind == Resident::Kind::carried, "update: ", resident.name,
                   " is a weight; state is wanted");
  require_argument(run.type(value.id_) == resident.type, "update: ", resident.name,
                   " would become ", run.type(value.id_), "; ", resident.type, " is wanted");
  for (const Update& update : run.updates)
    require_argument(update.resident != id, "update: ", resident.name, " is updated already");
  run.updates.push_back({id, value.id_});
}

Expression GraphBuilder::constant(const Tensor& value) {
  return {network_, network_->run().add1(Constant{contiguous(value)}, {}, {}, network_->scope)};
}

Expression GraphBuilder::constant(double value, DType dtype) {
  return {network_, network_->run().add1(Full{value, dtype, {}}, {}, {}, network_->scope)};
}

void GraphBuilder::output(const std::string& name, const Expression& value) {
  check(value);
  Function& run = network_->run();
  require_argument(!name.empty(), "an output has an empty name");
  for (const Output& output : run.outputs)
    require_argument(output.name != name, "output ", name, ": the name is taken");
  run.outputs.push_back({name, value.id_});
}

void GraphBuilder::symbol(const std::string& name, int64_t min, int64_t max, int64_t multiple_of) {
  require_argument(is_symbol_name(name), "'", name, "' cannot name an extent");
  require_argument(0 <= min && min <= max, "symbol ", name, " is ", min, " to ", max,
                   "; a range from 0 on that is not empty is wanted");
  require_argument(multiple_of >= 1, "symbol ", name, ": multiple of ", multiple_of,
                   "; 1 or more is wanted");
  network_->graph.symbols[name] = {min, max};
  if (multiple_of > 1)
    network_->graph.constraints.push_back({Constraint::Kind::divisible, Dim::symbol(name), 0,
                                           INT64_MAX, multiple_of, "symbol " + name});
}

void GraphBuilder::set_scope(const std::string& scope) { network_->scope = scope; }

void GraphBuilder::check(const Expression& operand) const {
  require_argument(&operand.network() == network_.get(),
                   "an operand belongs to another network than the builder's");
}

std::vector<Expression> GraphBuilder::add(std::string_view op,
                                          const std::vector<Expression>& operands,
                                          const AttributeList& attributes) {
  Attributes texts;
  for (const auto& [name, value] : attributes) texts.emplace_back(name, value.text());
  std::vector<ValueId> ids;
  for (const Expression& operand : operands) {
    check(operand);
    ids.push_back(operand.id_);
  }
  std::vector<Expression> results;
  for (ValueId id : network_->run().add(make_op(op, texts), ids, {}, network_->scope))
    results.push_back({network_, id});
  return results;
}

std::string GraphBuilder::text() const { return print_graph(network_->graph, 100); }

Expression operation(std::string_view op, const std::vector<Expression>& operands,
                     const AttributeList& attributes) {
  require_argument(!operands.empty(), op, ": an operand is wanted; GraphBuilder::add needs none");
  operands[0].network();  // refuses one made by default
  GraphBuilder builder(operands[0].network_);
  const std::vector<Expression> results = builder.add(op, operands, attributes);
  require_argument(results.size() == 1, op, ": gives ", results.size(),
                   " results; one is wanted, or GraphBuilder::add");
  return results[0];
}

namespace {

bool takes(const Op& op, const std::vector<TensorType>& operands) {
  try {
    return !op.infer(operands).empty();
  } catch (const Error&) {
    return false;
  }
}

// Operands of one element in `rank` dimensions that may suit an operator: of one type, or with
// indices, a boolean or a vector among them.
std::vector<std::vector<TensorType>> sample_operands(DType dtype, size_t rank) {
  const Shape shape(rank, Dim(1));
  const TensorType x{dtype, shape}, i{DType::i64, shape}, b{DType::boolean, shape};
  const TensorType v{dtype, Shape(std::min<size_t>(rank, 1), Dim(1))};
  return {{x}, {x, x}, {x, i}, {x, v}, {x, x, x}, {x, i, x}, {b, x, x}, {x, x, i}};
}

// The operator with its defaults, or with its empty lists filled; a size is 1.
std::optional<Op> sample_op(const OpDef& def, const char* list) {
  try {
    Attributes attributes = def.parse(def.name, {}).attributes();
    for (auto& [name, value] : attributes) {
      if (value == "[]") value = list;
      if (name == "size" && value == "0") value = "1";
    }
    return def.parse(def.name, attributes);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The element types that inference accepts for operands that suit the operator otherwise.
std::string accepted_types(const OpDef& def) {
  for (const char* list : {"[]", "[1]", "[0]", "[1, 1]", "[0, 0]"}) {
    const std::optional<Op> op = sample_op(def, list);
    if (!op) continue;
    for (size_t rank = 0; rank <= 4; ++rank)
      for (size_t c = 0; c < sample_operands(DType::f32, rank).size(); ++c) {
        std::vector<std::string> accepted;
        for (int t = 0; t < kDTypeCount; ++t) {
          const auto dtype = static_cast<DType>(t);
          if (takes(*op, sample_operands(dtype, rank)[c])) accepted.emplace_back(to_string(dtype));
          // Most candidates suit no type: a float, then an integer tells.
          if (accepted.empty() && dtype == DType::i64) break;
        }
        if (!accepted.empty()) return join_list(accepted);
      }
  }
  return "";
}

}  // namespace

std::vector<OperatorInfo> operators() {
  std::vector<OperatorInfo> list;
  for (const OpDef& def : all_ops()) {
    OperatorInfo& info = list.emplace_back();
    info.name = def.name;
    info.doc = def.doc;
    const Op op = def.parse(def.name, {});
    const std::string_view reason = shard::reason_to_run_whole(op);
    info.sharding = !reason.empty()           ? join("runs whole: ", reason)
                    : shard::has_own_rule(op) ? "ranks hold parts of what it moves"
                                              : "ranks hold parts of its dimensions";
    info.types = accepted_types(def);
    const Attributes defaults = op.attributes();
    for (size_t i = 0; i < def.fields.size(); ++i)
      info.attributes.push_back(
          {defaults[i].first, defaults[i].second, std::string(def.fields[i].second)});
    for (const Implementation& row : implementations())
      if (row.op == def.name) info.implementations.emplace_back(row.name);
    info.implementations.emplace_back("plain");
  }
  return list;
}

}  // namespace tutti
