// SPDX-License-Identifier: Apache-2.0
#include "cli/inputs.h"

#include <sys/stat.h>

#include <algorithm>
#include <random>

#include "cli/arguments.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

bool exists(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

TensorMap read_file(const std::string& path) {
  if (!exists(path)) throw UsageError(path + ": there is no such file");
  return load_tensors(path);
}

void add(TensorMap& tensors, const std::string& name, const Tensor& tensor) {
  if (!tensors.emplace(name, contiguous(tensor)).second)
    throw UsageError("input " + name + " is given twice");
}

}  // namespace

TensorMap read_inputs(const std::vector<std::string>& options,
                      const std::vector<std::string>& inputs) {
  TensorMap tensors;
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    if (equals != std::string::npos && !exists(option)) {
      const std::string name = option.substr(0, equals), path = option.substr(equals + 1);
      const TensorMap file = read_file(path);
      const auto found = file.size() == 1 ? file.begin() : file.find(name);
      if (found == file.end())
        throw UsageError(path + " has " + std::to_string(file.size()) + " tensors, none called " +
                         name);
      add(tensors, name, found->second);
      continue;
    }
    const TensorMap file = read_file(option);
    if (option.ends_with(".npy")) {
      if (inputs.size() != 1)
        throw UsageError("the model has " + std::to_string(inputs.size()) +
                         " inputs; NAME=" + option + " is wanted");
      add(tensors, inputs[0], file.begin()->second);
      continue;
    }
    for (const auto& [name, tensor] : file) add(tensors, name, tensor);
  }
  return tensors;
}

InputShapes shapes_of(const TensorMap& tensors, const InputShapes& more) {
  InputShapes shapes;
  for (const auto& [name, tensor] : tensors) shapes.emplace_back(name, tensor.shape);
  for (const auto& [name, shape] : more)
    if (!tensors.contains(name)) shapes.emplace_back(name, shape);
  return shapes;
}

PlanInfo plan_for(Engine& engine, const InputShapes& shapes) {
  engine.plan(shapes);
  for (PlanInfo& plan : engine.plans()) {
    const bool same = std::all_of(shapes.begin(), shapes.end(), [&](const auto& wanted) {
      return std::find(plan.inputs.begin(), plan.inputs.end(), wanted) != plan.inputs.end();
    });
    if (same) return std::move(plan);
  }
  throw Error(Errc::internal, "a plan that was made is not there");
}

void add_random_inputs(const Engine& engine, const PlanInfo& plan, TensorMap& tensors) {
  const std::vector<PortInfo> inputs = engine.inputs();
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (tensors.contains(inputs[i].name)) continue;
    Tensor tensor = Tensor::zeros(DType::f32, plan.inputs[i].second);
    for (int64_t e = 0; e < tensor.elements(); ++e)
      tensor.as<float>()[e] =
          is_float(inputs[i].dtype) ? normal(random) : static_cast<float>(random() % 2);
    tensors[inputs[i].name] = cast(tensor, inputs[i].dtype);
  }
}

void require_known_inputs(const Engine& engine, const TensorMap& tensors) {
  const std::vector<PortInfo> inputs = engine.inputs();
  std::string known;
  for (const PortInfo& input : inputs) known += (known.empty() ? "" : ", ") + input.name;
  for (const auto& [name, tensor] : tensors)
    if (std::none_of(inputs.begin(), inputs.end(),
                     [&, &name = name](const PortInfo& input) { return input.name == name; }))
      throw UsageError("input " + name + " is not known; there are: " + known);
}

void require_all_inputs(const Engine& engine, const TensorMap& tensors) {
  std::string missing;
  for (const PortInfo& input : engine.inputs())
    if (!tensors.contains(input.name))
      missing += (missing.empty() ? "" : ", ") + input.name + " " +
                 std::string(to_string(input.dtype)) + shape_text(input.shape);
  if (!missing.empty())
    throw UsageError("missing inputs: " + missing +
                     "; --input NAME=FILE or --random-inputs is wanted");
}

}  // namespace tutti::cli
