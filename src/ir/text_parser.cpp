// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "ir/text.h"
#include "ir/text_cursor.h"
#include "ir/verify.h"

namespace tutti {
namespace {

class GraphParser {
 public:
  GraphParser(std::string_view text, const MakeOp& make_op) : cursor_(text), make_op_(make_op) {}

  Graph parse() {
    cursor_.expect("tutti.graph");
    const size_t start = cursor_.position();
    const int64_t version = cursor_.integer();
    require(version == 1, Errc::unsupported, cursor_.place(start), "version ", version,
            "; 1 is wanted");
    while (!cursor_.at_end()) {
      if (cursor_.take_word("symbol"))
        parse_symbol();
      else if (cursor_.take_word("constraint"))
        parse_constraint();
      else if (cursor_.take_word("function"))
        parse_function();
      else
        parse_resident();
    }
    try {
      verify(graph_);
    } catch (const Error& error) {
      throw Error(error.code(), join("graph text: ", error.what()));
    }
    return std::move(graph_);
  }

 private:
  using Ids = std::unordered_map<std::string, int32_t>;

  void parse_symbol() {
    const size_t start = cursor_.position();
    std::string name(cursor_.word("a symbol"));
    Symbol symbol;
    cursor_.expect("in");
    symbol.min = cursor_.integer();
    cursor_.expect("..");
    if (!cursor_.take_word("inf")) symbol.max = cursor_.integer();
    if (!graph_.symbols.emplace(name, symbol).second)
      cursor_.fail_at(start, "a symbol not declared before");
  }

  Dim parse_dim() {
    const size_t start = cursor_.position();
    Dim dim;
    if (!parse_attribute(cursor_.value("a dimension"), dim)) cursor_.fail_at(start, "a dimension");
    return dim;
  }

  void parse_constraint() {
    Constraint constraint{};
    const bool range = cursor_.take_word("range");
    if (range)
      constraint.kind = Constraint::Kind::range;
    else if (cursor_.take_word("divisible"))
      constraint.kind = Constraint::Kind::divisible;
    else if (cursor_.take_word("equal"))
      constraint.kind = Constraint::Kind::equal;
    else
      cursor_.fail_here("range, divisible or equal");
    cursor_.expect("(");
    constraint.dim = parse_dim();
    cursor_.expect(",");
    if (range) {
      constraint.min = cursor_.integer();
      cursor_.expect(",");
      constraint.max = cursor_.integer();
    } else {
      constraint.other = parse_dim();
    }
    cursor_.expect(")");
    constraint.origin = cursor_.quoted("the constraint's origin in quotes");
    graph_.constraints.push_back(std::move(constraint));
  }

  void parse_resident() {
    Resident resident;
    if (cursor_.take_word("bound"))
      resident.kind = Resident::Kind::bound;
    else if (cursor_.take_word("derived"))
      resident.kind = Resident::Kind::derived;
    else if (cursor_.take_word("carried"))
      resident.kind = Resident::Kind::carried;
    else
      cursor_.fail_here("symbol, constraint, bound, derived, carried or function");
    cursor_.expect("@");
    const size_t start = cursor_.position();
    resident.name = cursor_.name("a resident's name");
    cursor_.expect(":");
    resident.type = cursor_.type();
    const auto id = static_cast<ResidentId>(graph_.residents.size());
    if (!residents_.emplace(resident.name, id).second)
      cursor_.fail_at(start, "a name that no other resident has");
    graph_.residents.push_back(std::move(resident));
  }

  void parse_function() {
    function_ = {};
    values_.clear();
    reads_.clear();
    function_.name = cursor_.name("a function's name");
    cursor_.expect("(");
    while (!cursor_.take(")")) {
      if (!function_.inputs.empty()) cursor_.expect(",");
      function_.inputs.push_back(define(parse_definition(), kNone));
    }
    cursor_.expect("{");
    while (!cursor_.take("}")) parse_statement();
    count_names();
    graph_.functions.push_back(std::move(function_));
  }

  void parse_statement() {
    if (cursor_.take_word("update")) {
      Update update{};
      cursor_.skip();
      update.resident = resident_use();
      cursor_.expect("=");
      update.value = use();
      function_.updates.push_back(update);
    } else if (cursor_.take_word("output")) {
      Output output{cursor_.name("an output's name"), kNone};
      cursor_.expect("=");
      if (!cursor_.take_word("none")) output.value = use();
      function_.outputs.push_back(std::move(output));
    } else {
      parse_node();
    }
  }

  struct Definition {
    std::string name;
    size_t position;
    TensorType type;
  };

  // %name : type
  Definition parse_definition() {
    cursor_.expect("%");
    const size_t position = cursor_.position();
    std::string name = cursor_.name("a value's name");
    cursor_.expect(":");
    return {std::move(name), position, cursor_.type()};
  }

  ValueId define(Definition definition, int32_t producer) {
    const auto id = static_cast<ValueId>(function_.values.size());
    if (!values_.emplace(definition.name, id).second)
      cursor_.fail_at(definition.position, "a name that no other value has");
    function_.values.push_back(
        {std::move(definition.name), std::move(definition.type), producer, kNone});
    return id;
  }

  ResidentId resident_use() {
    cursor_.expect("@");
    const size_t start = cursor_.position();
    const auto found = residents_.find(cursor_.name("a resident's name"));
    if (found == residents_.end()) cursor_.fail_at(start, "a resident declared before");
    return found->second;
  }

  ValueId use() {
    cursor_.skip();
    if (cursor_.peek() == '@') return read(resident_use());
    cursor_.expect("%");
    const size_t start = cursor_.position();
    const auto found = values_.find(cursor_.name("a value's name"));
    if (found == values_.end()) cursor_.fail_at(start, "a value defined before");
    return found->second;
  }

  ValueId read(ResidentId id) {
    const auto [entry, made] = reads_.emplace(id, static_cast<ValueId>(function_.values.size()));
    if (made) {
      const Resident& resident = graph_.residents[static_cast<size_t>(id)];
      function_.values.push_back({resident.name, resident.type, kNone, id});
    }
    return entry->second;
  }

  void parse_node() {
    std::vector<Definition> results;
    while (cursor_.peek() == '%') {
      results.push_back(parse_definition());
      if (!cursor_.take(",")) break;
    }
    if (!results.empty()) cursor_.expect("=");
    cursor_.skip();
    const size_t start = cursor_.position();
    const std::string op(cursor_.word("a definition, update, output or }"));
    Node node;
    Attributes attributes;
    parse_arguments(node, attributes);
    if (cursor_.take_word("scope")) {
      cursor_.expect("=");
      node.scope = cursor_.quoted("the scope in quotes");
    }
    try {
      node.op = make_op_(op, attributes);
      check_types(node, results);
    } catch (const Error& error) {
      throw Error(error.code(), join(cursor_.place(start), error.what()));
    }
    for (Definition& result : results)
      node.outputs.push_back(
          define(std::move(result), static_cast<int32_t>(function_.nodes.size())));
    function_.nodes.push_back(std::move(node));
  }

  // (%a, @b, name=value)
  void parse_arguments(Node& node, Attributes& attributes) {
    std::unordered_set<std::string> seen;
    cursor_.expect("(");
    for (bool first = true; !cursor_.take(")"); first = false) {
      if (!first) cursor_.expect(",");
      if (const char c = cursor_.peek(); c == '%' || c == '@') {
        node.inputs.push_back(use());
        continue;
      }
      const size_t start = cursor_.position();
      std::string name(cursor_.word("an operand, an attribute or )"));
      if (!seen.insert(name).second) cursor_.fail_at(start, "an attribute not given before");
      cursor_.expect("=");
      attributes.emplace_back(std::move(name), cursor_.value("the attribute's value"));
    }
  }

  void check_types(const Node& node, const std::vector<Definition>& results) const {
    std::vector<TensorType> in;
    for (ValueId id : node.inputs) in.push_back(function_.type(id));
    const std::vector<TensorType> types = node.op.infer(in);
    require_argument(types.size() == results.size(), node.op.name(), ": ", results.size(),
                     " results; ", types.size(), " are wanted");
    for (size_t i = 0; i < types.size(); ++i)
      require_argument(types[i] == results[i].type, node.op.name(), ": %", results[i].name, " is ",
                       results[i].type, "; ", types[i], " is wanted");
  }

  // New names get numbers above all that are there.
  void count_names() {
    for (const Value& value : function_.values) {
      const size_t digits = value.name.rfind('_') + 1;
      int32_t number = 0;
      const char* end = value.name.data() + value.name.size();
      const auto read = std::from_chars(value.name.data() + digits, end, number);
      if (digits != 0 && read.ec == std::errc() && read.ptr == end && number < (1 << 30))
        function_.names_made = std::max(function_.names_made, number + 1);
    }
  }

  Cursor cursor_;
  const MakeOp& make_op_;
  Graph graph_;
  Ids residents_;
  Function function_;
  Ids values_;
  std::unordered_map<ResidentId, ValueId> reads_;
};

}  // namespace

Graph parse_graph(std::string_view text, const MakeOp& make_op) {
  return GraphParser(text, make_op).parse();
}

}  // namespace tutti
