// SPDX-License-Identifier: Apache-2.0
#include "import/pt2.h"

#include <algorithm>

#include "core/text.h"
#include "import/pt2_importer.h"

namespace tutti {
namespace pt2 {
namespace {

bool is_inlined(std::string_view target) {
  return target == "torch.ops.higher_order.wrap_with_autocast" ||
         target == "torch.ops.higher_order.wrap_with_set_grad_enabled";
}

struct UnknownTarget {
  size_t count = 0;
  std::vector<std::string> places;
};

void survey(const Graph& graph, ImportReport& report,
            std::map<std::string, UnknownTarget>& unknown) {
  constexpr size_t kPlaces = 3;
  for (const Node& node : graph.nodes) {
    ++report.nodes;
    ++report.operators[std::string(node.target)];
    if (is_inlined(node.target)) {
      for (const NamedArgument& argument : node.inputs)
        if (const auto* sub = std::get_if<SubGraph>(&argument.value))
          survey(*sub->graph, report, unknown);
      continue;
    }
    if (find_rule(node.target).rule != nullptr) continue;
    UnknownTarget& entry = unknown[std::string(node.target)];
    ++entry.count;
    const std::string place(module_path(node.nn_module_stack));
    const bool is_new =
        std::find(entry.places.begin(), entry.places.end(), place) == entry.places.end();
    if (!place.empty() && is_new && entry.places.size() < kPlaces) entry.places.push_back(place);
  }
}

constexpr std::string_view kAten = "torch.ops.aten.";

std::string short_name(std::string_view target) {
  return std::string(target.starts_with(kAten) ? target.substr(kAten.size()) : target);
}

}  // namespace

void require_known_targets(const Program& program, ImportReport& report) {
  std::map<std::string, UnknownTarget> unknown;
  survey(program.graph, report, unknown);
  if (unknown.empty()) return;
  std::string message =
      join(program.where, ": ", unknown.size(),
           unknown.size() == 1 ? " operator is" : " operators are", " not supported:");
  const std::vector<std::string> known = rule_names();
  for (const auto& [target, entry] : unknown) {
    message += join("\n  ", target, ", ", entry.count, entry.count == 1 ? " time" : " times");
    if (!entry.places.empty()) message += join(", in ", join_list(entry.places));
    // Names of other libraries are near to none of these.
    if (target.starts_with("torch.ops.") && !target.starts_with(kAten)) continue;
    message += join("; nearest known: ", join_list(nearest_names(short_name(target), known)));
  }
  fail(Errc::unsupported, message);
}

}  // namespace pt2

Graph import_pt2(const std::string& path, const ImportOptions& options) {
  const Pt2Archive archive(MappedFile::open(path), options.model);
  const pt2::Program program = pt2::read_program(archive);
  ImportReport report;
  pt2::require_known_targets(program, report);
  Graph graph = pt2::Importer(archive, program).import(report);
  if (options.report != nullptr) *options.report = std::move(report);
  return graph;
}

}  // namespace tutti
