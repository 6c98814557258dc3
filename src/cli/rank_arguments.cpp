// SPDX-License-Identifier: Apache-2.0
#include "cli/rank_arguments.h"

#include <cstdlib>

#include "cli/inputs.h"
#include "cli/mesh_options.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

constexpr std::string_view kRank = "{rank}";

std::string of_rank(std::string path, int rank) {
  for (size_t at; (at = path.find(kRank)) != std::string::npos;)
    path.replace(at, kRank.size(), std::to_string(rank));
  return path;
}

}  // namespace

std::string RankArguments::model() const { return of_rank(arguments_.words()[0], rank_); }

std::string RankArguments::path(const std::string& option) const {
  return of_rank(arguments_.value(option), rank_);
}

bool RankArguments::writes(const std::string& option) const {
  const bool by_rank = arguments_.value(option).find(kRank) != std::string::npos;
  return arguments_.has(option) && (rank_ == 0 || by_rank);
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

TensorMap RankArguments::inputs(Engine& engine) const {
  const std::vector<InputShapes> shapes = parse_shapes(arguments_.values("--shape"));
  if (shapes.size() > 1) throw UsageError("option --shape gives an input two shapes");
  std::vector<std::string> files = arguments_.values("--input");
  for (std::string& file : files) file = of_rank(file, rank_);
  TensorMap inputs = read_inputs(files, engine.inputs());
  require_known_inputs(engine, inputs);
  const bool random = arguments_.has("--random-inputs");
  if (!random) require_all_inputs(engine, inputs);
  const PlanInfo plan =
      plan_for(engine, shapes_of(inputs, shapes.empty() ? InputShapes{} : shapes[0]));
  if (random) add_random_inputs(engine, plan, inputs);
  return inputs;
}

}  // namespace tutti::cli
