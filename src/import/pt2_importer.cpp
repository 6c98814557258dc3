// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_importer.h"

#include <algorithm>

namespace tutti::pt2 {
namespace {

Dim fold(const Expr& expr, Dim (*combine)(const Dim&, const Dim&)) {
  require(!expr.args.empty(), Errc::corrupt, "the expression ", to_string(expr), " lacks operands");
  Dim dim = to_dim(expr.args[0]);
  for (size_t i = 1; i < expr.args.size(); ++i) dim = combine(dim, to_dim(expr.args[i]));
  return dim;
}

Dim plus(const Dim& a, const Dim& b) { return a + b; }
Dim times(const Dim& a, const Dim& b) { return a * b; }

Dim power(const Dim& base, const Dim& exponent) {
  constexpr int64_t kLargest = 16;
  require(exponent.is_constant() && exponent.value() >= 0 && exponent.value() <= kLargest,
          Errc::unsupported, "the extent ", base, " ** ", exponent, " is not supported");
  Dim dim = 1;
  for (int64_t i = 0; i < exponent.value(); ++i) dim = dim * base;
  return dim;
}

void collect_symbols(const Function& function, std::set<std::string>& names) {
  for (ValueId input : function.inputs)
    for (const Dim& dim : function.type(input).shape) dim.collect_symbols(names);
}

bool knows(const Dim& dim, const std::set<std::string>& names) {
  std::set<std::string> wanted;
  dim.collect_symbols(wanted);
  return std::includes(names.begin(), names.end(), wanted.begin(), wanted.end());
}

}  // namespace

Dim to_dim(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::integer:
      return expr.value;
    case Expr::Kind::symbol:
      return Dim::symbol(std::string(expr.name));
    case Expr::Kind::add:
      return fold(expr, plus);
    case Expr::Kind::mul:
      return fold(expr, times);
    case Expr::Kind::pow:
      return fold(expr, power);
    case Expr::Kind::mod:
    case Expr::Kind::python_mod:
      return fold(expr, mod);
    case Expr::Kind::floor_div:
    case Expr::Kind::clean_div:
      return fold(expr, floor_div);
    case Expr::Kind::max:
      return fold(expr, max);
    case Expr::Kind::min:
      return fold(expr, min);
    case Expr::Kind::other:
      break;
  }
  fail(Errc::unsupported, "the expression ", to_string(expr), " of an extent is not supported");
}

Dim to_dim(const SymInt& size) {
  if (size.is_symbolic()) return to_dim(*size.expr);
  require(size.value.has_value(), Errc::corrupt, "a size has no value");
  return *size.value;
}

TensorType to_type(const TensorMeta& meta) {
  const auto type = element_type(meta.scalar_type);
  require(type.has_value(), Errc::unsupported, "element type ", scalar_type_name(meta.scalar_type),
          " is not supported");
  TensorType result{type->dtype, {}};
  for (const SymInt& size : meta.sizes) result.shape.push_back(to_dim(size));
  if (type->is_complex) result.shape.push_back(2);
  return result;
}

Importer::Importer(const Pt2Archive& archive, const Program& program)
    : archive_(archive), program_(program), lowering_(function_, graph_.symbols) {
  function_.name = "run";
}

tutti::Graph Importer::import(ImportReport& report) {
  add_inputs();
  add_symbols();
  lower(program_.graph, scope_);
  add_outputs(scope_);
  add_updates(scope_);
  refuse_shared_storage();
  function_.remove_dead();
  for (const auto& [name, source] : sources_) report.unused += source.resident == kNone;
  report.example = hints_;
  graph_.functions.push_back(std::move(function_));
  return std::move(graph_);
}

void Importer::add_symbols() {
  for (const Symbol& symbol : program_.symbols) {
    graph_.symbols[std::string(symbol.name)] = {symbol.min.value_or(0),
                                                symbol.max.value_or(INT64_MAX)};
    if (symbol.hint) hints_[std::string(symbol.name)] = *symbol.hint;
  }
  // What no input decides cannot be checked.
  std::set<std::string> decided;
  collect_symbols(function_, decided);
  for (const RangeConstraint& range : program_.range_constraints) {
    if (range.expr->kind == Expr::Kind::symbol || range.expr->kind == Expr::Kind::other) continue;
    Constraint constraint{Constraint::Kind::range, to_dim(*range.expr)};
    constraint.min = range.min.value_or(0);
    constraint.max = range.max.value_or(INT64_MAX);
    constraint.origin = "the range given when exporting";
    if (knows(constraint.dim, decided)) graph_.constraints.push_back(std::move(constraint));
  }
}

void Importer::add_inputs() {
  for (const InputSpec& spec : program_.inputs) {
    switch (spec.kind) {
      case InputSpec::Kind::parameter:
      case InputSpec::Kind::buffer:
      case InputSpec::Kind::tensor_constant:
        sources_.emplace(spec.name, Source{&spec});
        break;
      case InputSpec::Kind::user_input: {
        const auto* tensor = std::get_if<TensorName>(&spec.value);
        if (tensor == nullptr) {
          const bool is_symbolic = std::holds_alternative<SymRef<int64_t>>(spec.value);
          require(!is_symbolic, Errc::unsupported, program_.where, ": input ", spec.name,
                  " is a number that may change; only tensors are supported");
          break;
        }
        const TensorMeta* meta = program_.graph.find_tensor(tensor->name);
        require(meta != nullptr, Errc::corrupt, program_.where, ": input ", tensor->name,
                " has no type");
        const ValueId value = function_.add_input(std::string(tensor->name), to_type(*meta));
        const Ref ref = lowering_.fresh({value, element_type(meta->scalar_type)->is_complex});
        lowering_.remember(ref, meta);
        inputs_.emplace_back(tensor->name, ref);
        scope_[tensor->name] = ref;
        break;
      }
      case InputSpec::Kind::constant_input:
        break;
      case InputSpec::Kind::custom_obj:
      case InputSpec::Kind::token:
        fail(Errc::unsupported, program_.where, ": input ", spec.name, " is a ",
             spec.kind == InputSpec::Kind::token ? "token" : "custom object",
             "; only tensors are supported");
    }
  }
}

// Residents come into being when they are first read, so that unused ones are left out.
Ref Importer::read_resident(Source& source) {
  if (source.resident != kNone) return source.tensor;
  const InputSpec& spec = *source.spec;
  const TensorMeta* meta = program_.graph.find_tensor(spec.name);
  require(meta != nullptr, Errc::corrupt, program_.where, ": ", spec.name, " has no type");
  const StoredTensor* stored = archive_.find_stored(spec.target);
  require(stored != nullptr, Errc::corrupt, archive_.path(), ": holds no tensor ", spec.target);
  Resident resident{std::string(spec.target), to_type(*meta), Resident::Kind::bound, {}};
  const TensorType found{stored->view.dtype, to_shape(stored->view.shape)};
  require(found == resident.type, Errc::corrupt, archive_.path(), ": ", spec.target, " is ", found,
          "; the program says ", resident.type);
  if (!stored->is_meta) resident.data = archive_.find(spec.target).value();
  source.resident = graph_.add_resident(std::move(resident));
  const Resident& made = graph_.residents.back();
  const ValueId value = function_.read(source.resident, made.name, made.type);
  source.tensor = lowering_.fresh({value, element_type(meta->scalar_type)->is_complex});
  lowering_.remember(source.tensor, meta);
  return source.tensor;
}

ValueId Importer::output_value(const Item& item) {
  if (const auto* tensor = std::get_if<Ref>(&item)) return lowering_.read(*tensor).id;
  const auto* number = std::get_if<Number>(&item);
  if (number == nullptr || !number->is_known) return kNone;
  Emitter& e = lowering_.e;
  if (number->value != kNone)
    return e.cast(number->value, number->kind == Number::Kind::real ? DType::f64 : DType::i64);
  switch (number->kind) {
    case Number::Kind::boolean:
      return e.integer(number->integer, DType::boolean);
    case Number::Kind::integer:
      return e.integer(number->integer, DType::i64);
    case Number::Kind::real:
      break;
  }
  return e.scalar(number->as_real(), DType::f64);
}

void Importer::add_outputs(Scope& scope) {
  lowering_.e.set_place("out", "");
  for (const UserValue& output : program_.user_outputs)
    function_.outputs.push_back({output.name, output_value(item(output.value, scope))});
  for (const OutputSpec& spec : program_.outputs) {
    if (spec.kind != OutputSpec::Kind::user_input_mutation) continue;
    function_.outputs.push_back(
        {"input." + std::string(spec.target), output_value(item(spec.value, scope))});
  }
  for (const auto& [name, tensor] : inputs_)
    if (lowering_.aliases().written(tensor))
      function_.outputs.push_back({"input." + std::string(name), lowering_.read(tensor).id});
}

void Importer::add_updates(Scope& scope) {
  const auto update = [&](ResidentId resident, ValueId value) {
    graph_.residents[static_cast<size_t>(resident)].kind = Resident::Kind::carried;
    function_.updates.push_back({resident, value});
  };
  for (const InputSpec& spec : program_.inputs) {
    const auto source = sources_.find(spec.name);
    if (source == sources_.end() || source->second.resident == kNone) continue;
    const Ref tensor = source->second.tensor;
    if (lowering_.aliases().written(tensor))
      update(source->second.resident, lowering_.read(tensor).id);
  }
  for (const OutputSpec& spec : program_.outputs) {
    if (spec.kind != OutputSpec::Kind::buffer_mutation &&
        spec.kind != OutputSpec::Kind::parameter_mutation)
      continue;
    const auto input = std::find_if(program_.inputs.begin(), program_.inputs.end(),
                                    [&](const InputSpec& i) { return i.target == spec.target; });
    require(input != program_.inputs.end(), Errc::corrupt, program_.where, ": writes into ",
            spec.target, ", which is no buffer");
    Source& source = sources_.at(input->name);
    read_resident(source);
    update(source.resident, output_value(item(spec.value, scope)));
  }
}

void Importer::refuse_shared_storage() const {
  for (const Update& update : function_.updates) {
    const Resident& written = graph_.residents[static_cast<size_t>(update.resident)];
    const StoredTensor* one = archive_.find_stored(written.name);
    for (const Resident& other : graph_.residents) {
      const StoredTensor* two = archive_.find_stored(other.name);
      if (&other == &written || one->storage.empty()) continue;
      require(one->storage.data() != two->storage.data(), Errc::unsupported, program_.where, ": ",
              written.name, " is written in place and shares its memory with ", other.name,
              ", which is not supported");
    }
  }
}

}  // namespace tutti::pt2
