// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "import/lowering.h"
#include "import/run_for_tests.h"

namespace tutti::pt2 {

/// A PyTorch program that is written call by call and then run.
class TestProgram {
 public:
  using Named = std::pair<std::string_view, Item>;

  explicit TestProgram(std::map<std::string, tutti::Symbol, std::less<>> symbols = {})
      : symbols_(std::move(symbols)), function_{"run"}, l(function_, symbols_) {}

  Ref input(const Tensor& tensor, bool is_complex = false) {
    const std::string name = "x" + std::to_string(inputs_.size());
    inputs_[name] = tensor;
    return l.fresh({function_.add_input(name, {tensor.dtype, to_shape(tensor.shape)}), is_complex});
  }

  /// Calls torch.ops.aten.`name`, or `name` where that says the library too; the others are
  /// numbers, texts, types or tensors.
  Results call(const std::string& name, std::initializer_list<Named> arguments) {
    const std::string overload = name.find('.') == name.npos ? ".default" : "";
    const bool is_whole = name.starts_with("torch.ops.");
    const FoundRule found = find_rule(is_whole ? name : "torch.ops.aten." + name + overload);
    require(found.rule != nullptr, Errc::not_found, name);
    std::vector<Item> items;
    for (const Rule::Parameter& parameter : found.rule->parameters) {
      items.push_back(parameter.default_value.value_or(Item()));
      for (const auto& [key, item] : arguments)
        if (key == parameter.name) items.back() = item;
    }
    return lower_call(l, found, std::move(items));
  }

  /// The one tensor that a call gives.
  Ref tensor(const std::string& name, std::initializer_list<Named> arguments) {
    const Results results = call(name, arguments);
    const Item& item = results.items.at(0);
    const auto* array = std::get_if<Array>(&item);
    return array ? l.fresh(*array) : std::get<Ref>(item);
  }

  /// What the tensors hold now.
  std::vector<Tensor> run(std::initializer_list<Ref> tensors) {
    std::vector<Output> outputs;
    for (const Ref tensor : tensors)
      outputs.push_back({std::to_string(outputs.size()), l.read(tensor).id});
    tutti::Graph graph;
    graph.symbols = symbols_;
    graph.functions.push_back(function_);
    graph.functions[0].outputs = outputs;
    const TensorsByName found = run_graph(graph, inputs_);
    std::vector<Tensor> list;
    for (const Output& output : outputs) list.push_back(found.at(output.name));
    return list;
  }
  Values values(Ref tensor) { return values_of(run({tensor})[0]); }

 private:
  std::map<std::string, tutti::Symbol, std::less<>> symbols_;
  Function function_;
  TensorsByName inputs_;

 public:
  Lowering l;
};

}  // namespace tutti::pt2
