// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_program.h"

#include <array>

#include "core/error.h"
#include "core/log.h"
#include "import/json.h"
#include "import/pt2_archive.h"
#include "import/pt2_pytree.h"
#include "import/pt2_reader.h"

namespace tutti::pt2 {
namespace {

constexpr int64_t kSchemaMajor = 8;
constexpr int64_t kSchemaMinor = 20;

void read_versions(const Json& root, Program& program) {
  const Json version = root.at("schema_version");
  program.schema_major = version.at("major").as_int();
  program.schema_minor = version.at("minor").as_int();
  if (const auto torch = root.find("torch_version")) program.torch_version = torch->as_string();
  if (program.schema_major != kSchemaMajor)
    version.refuse(Errc::unsupported, "is schema ", program.schema_major, ".", program.schema_minor,
                   " of PyTorch ", program.torch_version, "; ", kSchemaMajor, " can be read");
  if (program.schema_minor > kSchemaMinor)
    log(LogLevel::warning, program.where, ": has schema ", program.schema_major, ".",
        program.schema_minor, " of PyTorch ", program.torch_version, "; up to ", kSchemaMajor, ".",
        kSchemaMinor, " is known, what is newer may be refused later");
  if (const auto verifiers = root.find("verifiers"))
    for (Json verifier : verifiers->array()) program.verifiers.push_back(verifier.as_string());
}

// The bound, where it is a number; infinite ones are null or text.
std::optional<int64_t> bound(const Json& range, std::string_view key) {
  const auto value = range.find(key);
  return value && value->is_int() ? std::optional(value->as_int()) : std::nullopt;
}

void read_ranges(const Json& root, Reader& reader, Program& program) {
  const auto ranges = root.find("range_constraints");
  if (!ranges) return;
  for (const auto& [text, range] : ranges->object())
    program.range_constraints.push_back(
        {reader.expr(text), bound(range, "min_val"), bound(range, "max_val")});
}

// Every symbol that has a range or is itself a size of a user input.
void collect_symbols(Program& program) {
  std::map<std::string_view, Symbol> symbols;
  for (const RangeConstraint& range : program.range_constraints)
    if (range.expr->kind == Expr::Kind::symbol)
      symbols[range.expr->name] = {range.expr->name, range.min, range.max, {}};
  for (const UserValue& input : program.user_inputs) {
    const auto* tensor = std::get_if<TensorName>(&input.value);
    const TensorMeta* meta = tensor ? program.graph.find_tensor(tensor->name) : nullptr;
    if (meta == nullptr) continue;
    for (const SymInt& size : meta->sizes) {
      if (!size.is_symbolic() || size.expr->kind != Expr::Kind::symbol) continue;
      Symbol& symbol = symbols[size.expr->name];
      symbol.name = size.expr->name;
      if (size.value) symbol.hint = size.value;
    }
  }
  for (const auto& [name, symbol] : symbols) program.symbols.push_back(symbol);
}

template <class Kind>
struct SpecRow {
  std::string_view tag;
  Kind kind;
  std::string_view target_key;  // empty: it has no target
};

constexpr std::array<SpecRow<InputSpec::Kind>, 7> kInputSpecs = {
    {{"parameter", InputSpec::Kind::parameter, "parameter_name"},
     {"buffer", InputSpec::Kind::buffer, "buffer_name"},
     {"tensor_constant", InputSpec::Kind::tensor_constant, "tensor_constant_name"},
     {"user_input", InputSpec::Kind::user_input, ""},
     {"constant_input", InputSpec::Kind::constant_input, ""},
     {"custom_obj", InputSpec::Kind::custom_obj, "custom_obj_name"},
     {"token", InputSpec::Kind::token, ""}}};

constexpr std::array<SpecRow<OutputSpec::Kind>, 8> kOutputSpecs = {
    {{"user_output", OutputSpec::Kind::user_output, ""},
     {"loss_output", OutputSpec::Kind::loss_output, ""},
     {"buffer_mutation", OutputSpec::Kind::buffer_mutation, "buffer_name"},
     {"parameter_mutation", OutputSpec::Kind::parameter_mutation, "parameter_name"},
     {"user_input_mutation", OutputSpec::Kind::user_input_mutation, "user_input_name"},
     {"gradient_to_parameter", OutputSpec::Kind::gradient_to_parameter, "parameter_name"},
     {"gradient_to_user_input", OutputSpec::Kind::gradient_to_user_input, "user_input_name"},
     {"token", OutputSpec::Kind::token, ""}}};

template <class Rows>
const auto& find_spec(const Rows& rows, const Json& json, std::string_view tag) {
  for (const auto& row : rows)
    if (row.tag == tag) return row;
  json.refuse(Errc::unsupported, "is a ", tag, ", which is not known");
}

// The name by which the graph refers to a value; empty for literals.
std::string_view name_of(const Argument& argument) {
  if (const auto* tensor = std::get_if<TensorName>(&argument)) return tensor->name;
  if (const auto* object = std::get_if<CustomObject>(&argument)) return object->name;
  if (const auto* number = std::get_if<SymRef<int64_t>>(&argument)) return number->name;
  if (const auto* number = std::get_if<SymRef<double>>(&argument)) return number->name;
  if (const auto* flag = std::get_if<SymRef<bool>>(&argument)) return flag->name;
  return {};
}

InputSpec read_input(const Json& json, const Argument& graph_input, Reader& reader) {
  const auto [tag, body] = tagged(json);
  const auto& row = find_spec(kInputSpecs, json, tag);
  InputSpec spec;
  spec.kind = row.kind;
  spec.value = graph_input;
  if (row.kind == InputSpec::Kind::constant_input) {
    spec.name = body.at("name").as_string();
    spec.value = reader.argument(body.at("value"));
    return spec;
  }
  const Json arg = body.at("arg");
  spec.name = row.kind == InputSpec::Kind::user_input ? name_of(reader.argument(arg))
                                                      : arg.at("name").as_string();
  if (spec.name != name_of(graph_input))
    json.refuse(Errc::corrupt, "is for ", spec.name, ", but that input of the graph is ",
                name_of(graph_input));
  if (!row.target_key.empty()) spec.target = body.at(row.target_key).as_string();
  if (const auto persistent = body.find("persistent")) spec.persistent = persistent->as_bool();
  return spec;
}

OutputSpec read_output(const Json& json, const Argument& graph_output, Reader& reader) {
  const auto [tag, body] = tagged(json);
  const auto& row = find_spec(kOutputSpecs, json, tag);
  OutputSpec spec;
  spec.kind = row.kind;
  spec.value = graph_output;
  const Json arg = body.at("arg");
  const bool is_argument =
      row.kind == OutputSpec::Kind::user_output || row.kind == OutputSpec::Kind::loss_output;
  const std::string_view name =
      is_argument ? name_of(reader.argument(arg)) : arg.at("name").as_string();
  if (name != name_of(graph_output))
    json.refuse(Errc::corrupt, "is for ", name, ", but that output of the graph is ",
                name_of(graph_output));
  if (!row.target_key.empty()) spec.target = body.at(row.target_key).as_string();
  return spec;
}

template <class T, class Read>
void read_specs(const Json& json, List<Argument> values, std::vector<T>& specs, Read&& read) {
  for (Json item : json.array()) {
    if (specs.size() == values.size())
      json.refuse(Errc::corrupt, "has more items than the graph, which has ", values.size());
    specs.push_back(read(item, values[specs.size()]));
  }
  if (specs.size() != values.size())
    json.refuse(Errc::corrupt, "has ", specs.size(), " items; the graph has ", values.size());
}

void collect_user_values(Program& program) {
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const InputSpec& spec = program.inputs[i];
    if (spec.kind != InputSpec::Kind::user_input && spec.kind != InputSpec::Kind::constant_input)
      continue;
    const std::string name(spec.name);
    program.user_inputs.push_back({i, name, name, spec.value});
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const OutputSpec& spec = program.outputs[i];
    if (spec.kind != OutputSpec::Kind::user_output && spec.kind != OutputSpec::Kind::loss_output)
      continue;
    const std::string name = join("out.", program.user_outputs.size());
    program.user_outputs.push_back({i, name, name, spec.value});
  }
}

// The signature of the module as a whole, where there is one.
std::optional<Json> find_call(const Json& graph_module) {
  const auto calls = graph_module.find("module_call_graph");
  if (!calls) return std::nullopt;
  for (Json call : calls->array())
    if (call.at("fqn").as_string().empty()) return call.find("signature");
  return std::nullopt;
}

void set_paths(const Json& spec, const std::vector<std::string>& paths,
               std::vector<UserValue>& values) {
  if (paths.size() != values.size())
    spec.refuse(Errc::corrupt, "has ", paths.size(), " leaves for ", values.size(), " values");
  for (size_t i = 0; i < values.size(); ++i) values[i].path = paths[i];
}

void name_user_values(const Json& graph_module, Program& program) {
  const auto call = find_call(graph_module);
  if (!call) return;
  const auto fields = graph_module.find("treespec_namedtuple_fields");
  std::vector<std::string_view> argument_names;
  if (const auto names = call->find("forward_arg_names"))
    for (Json name : names->array()) argument_names.push_back(name.as_string());
  if (const auto spec = call->find("in_spec"); spec && !spec->as_string().empty())
    set_paths(*spec, call_paths(*spec, fields, argument_names), program.user_inputs);
  if (const auto spec = call->find("out_spec"); spec && !spec->as_string().empty()) {
    set_paths(*spec, leaf_paths(*spec, fields, "out"), program.user_outputs);
    for (UserValue& output : program.user_outputs) output.name = output.path;
  }
}

}  // namespace

Program read_program(std::span<const std::byte> json, std::string where) {
  auto storage = std::make_shared<Program::Storage>();
  storage->document = JsonDocument::parse(json, where);
  Program program;
  program.where = std::move(where);
  const Json root = storage->document->root();
  read_versions(root, program);
  Reader reader(*storage);
  read_ranges(root, reader, program);
  const Json graph_module = root.at("graph_module");
  program.graph = reader.graph(graph_module.at("graph"));
  const Json signature = graph_module.at("signature");
  read_specs(signature.at("input_specs"), program.graph.inputs, program.inputs,
             [&](const Json& item, const Argument& a) { return read_input(item, a, reader); });
  read_specs(signature.at("output_specs"), program.graph.outputs, program.outputs,
             [&](const Json& item, const Argument& a) { return read_output(item, a, reader); });
  collect_user_values(program);
  name_user_values(graph_module, program);
  collect_symbols(program);
  program.storage = std::move(storage);
  return program;
}

Program read_program(const Pt2Archive& archive) {
  return read_program(archive.program(), archive.program_name());
}

}  // namespace tutti::pt2
