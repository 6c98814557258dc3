// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_picture.h"

#include "cli/plan_tables.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

constexpr double kFlopsPerByte = 20;

std::string kind_of(const StepInfo& step) {
  if (step.implementation == "ranks") return step.operation;
  return step.operation.find("attention") != std::string::npos ? "attention" : "products";
}

}  // namespace

Lanes picture_of(const std::vector<PlanInfo>& ranks, const std::string& title) {
  Lanes lanes{title, {}};
  for (const PlanInfo& plan : ranks) {
    auto& [name, boxes] =
        lanes.lanes.emplace_back("rank " + std::to_string(plan.rank), std::vector<Box>());
    for (const StepInfo& step : plan.steps) {
      const bool sends = step.bytes_sent > 0;
      if (step.prepare || (!sends && step.flops == 0)) continue;
      const double width =
          sends ? kFlopsPerByte * static_cast<double>(step.bytes_sent) : step.flops;
      const std::string text =
          step.operation + ": " +
          (sends ? bytes_text(step.bytes_sent) + " sent" : count_text(step.flops) + " FLOP") +
          (step.scope.empty() ? "" : ", " + step.scope);
      boxes.push_back({kind_of(step), width, text});
    }
  }
  return lanes;
}

}  // namespace tutti::cli
