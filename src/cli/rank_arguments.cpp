// SPDX-License-Identifier: Apache-2.0
#include "cli/rank_arguments.h"

#include <algorithm>
#include <cstdlib>

#include "cli/inputs.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

bool has_name(const std::string& path, const std::string& name) {
  return path.find("{" + name + "}") != std::string::npos;
}

void replace_name(std::string& path, const std::string& name, int number) {
  const std::string braced = "{" + name + "}";
  for (size_t at; (at = path.find(braced)) != std::string::npos;)
    path.replace(at, braced.size(), std::to_string(number));
}

}  // namespace

std::string RankArguments::fill(const std::string& path) const {
  std::string filled = path, known = "{rank}";
  replace_name(filled, "rank", rank_);
  for (const AxisPlace& p : places_) {
    replace_name(filled, p.axis, p.place);
    known += ", {" + p.axis + "}";
  }
  for (const char* axis : {"dp", "tp", "cp"})
    if (has_name(filled, axis))
      throw UsageError(path + ": {" + axis + "} is no axis of the mesh; there are: " + known);
  return filled;
}

std::string RankArguments::model() const { return fill(arguments_.words()[0]); }

std::string RankArguments::path(const std::string& option) const {
  return fill(arguments_.value(option));
}

bool RankArguments::writes(const std::string& option) const {
  const std::string path = arguments_.value(option);
  if (!arguments_.has(option) || has_name(path, "rank")) return arguments_.has(option);
  if (places_.empty()) return rank_ == 0;
  return std::all_of(places_.begin(), places_.end(),
                     [&](const AxisPlace& p) { return p.place == 0 || has_name(path, p.axis); });
}

double RankArguments::tolerance(double otherwise) const {
  if (!arguments_.has("--tolerance")) return otherwise;
  const std::string text = arguments_.value("--tolerance");
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0))
    throw UsageError("option --tolerance is " + text + "; a number of 0 or more is wanted");
  return value;
}

BuildOptions RankArguments::build_options() const {
  BuildOptions options;
  options.weights = path("--weights");
  options.weights_dtype = parse_weights_dtype(arguments_.value("--dtype"));
  options.held = arguments_.values("--hold");
  options.threads = threads_;
  options.fuse = !arguments_.has("--no-fuse");
  options.matmul = arguments_.value("--matmul");
  read_mesh(arguments_, options);
  if (!options.mesh.empty()) options.rank = rank_;
  return options;
}

std::vector<std::string> RankArguments::input_files() const {
  std::vector<std::string> files = arguments_.values("--input");
  for (std::string& file : files) file = fill(file);
  return files;
}

TensorMap RankArguments::inputs(Engine& engine) const {
  const std::vector<InputShapes> shapes = parse_shapes(arguments_.values("--shape"));
  if (shapes.size() > 1) throw UsageError("option --shape gives an input two shapes");
  std::vector<std::string> names;
  for (const PortInfo& port : engine.inputs()) names.push_back(port.name);
  TensorMap inputs = read_inputs(input_files(), names);
  require_known_inputs(engine, inputs);
  const bool random = arguments_.has("--random-inputs");
  if (!random) require_all_inputs(engine, inputs);
  const PlanInfo plan =
      plan_for(engine, shapes_of(inputs, shapes.empty() ? InputShapes{} : shapes[0]));
  if (random) add_random_inputs(engine, plan, inputs);
  return inputs;
}

}  // namespace tutti::cli
