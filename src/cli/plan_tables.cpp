// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_tables.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "cli/terminal.h"

namespace tutti::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

bool is_collective(const StepInfo& step) {
  return step.implementation == "ranks" && step.operation != "rank";
}

std::string ranks_text(const StepInfo& step) {
  std::string text;
  for (const int rank : step.ranks) text += (text.empty() ? "" : ",") + std::to_string(rank);
  return text.empty() ? "of bind" : text;
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f%%", 100 * share);
  return text;
}

}  // namespace

std::string count_text(double count) {
  const char* letter = "";
  for (const char* next : {" k", " M", " G", " T", " P"}) {
    if (count < 1000) break;
    count /= 1000;
    letter = next;
  }
  return number_text(count) + letter;
}

Work work_of(const PlanInfo& plan) {
  Work work;
  for (const StepInfo& step : plan.steps) {
    work.flops += step.flops;
    work.bytes_sent += step.bytes_sent;
  }
  return work;
}

std::string ranks_table(const std::vector<PlanInfo>& plans) {
  Rows rows = {
      {"rank", "FLOP", "of one rank's", "activations", "held", "state", "weights", "bytes sent"}};
  double flops = 0, whole = 0;
  uint64_t bytes = 0;
  for (const PlanInfo& plan : plans) {
    const Work work = work_of(plan);
    flops += work.flops;
    bytes += work.bytes_sent;
    whole = plan.network_flops;
    rows.push_back({std::to_string(plan.rank), count_text(work.flops),
                    percent(whole > 0 ? work.flops / whole : 0), bytes_text(plan.activation_bytes),
                    bytes_text(plan.held_bytes), bytes_text(plan.state_bytes),
                    bytes_text(plan.weight_bytes), std::to_string(work.bytes_sent)});
  }
  if (plans.size() > 1)
    rows.push_back({"all", count_text(flops), percent(whole > 0 ? flops / whole : 0), "", "", "",
                    "", std::to_string(bytes)});
  return table(rows);
}

std::string collectives_table(const PlanInfo& plan, bool all) {
  Rows rows = {{"collective", "ranks", all ? "types" : "count", "bytes sent", "scope"}};
  struct Sum {
    size_t count = 0;
    uint64_t bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Sum> sums;
  for (const StepInfo& step : plan.steps) {
    if (!is_collective(step)) continue;
    Sum& sum = sums[{step.operation, ranks_text(step)}];
    ++sum.count;
    sum.bytes += step.bytes_sent;
    if (all)
      rows.push_back({step.operation, ranks_text(step), step.types, std::to_string(step.bytes_sent),
                      step.scope});
  }
  if (all) return table(rows);
  for (const auto& [what, sum] : sums)
    rows.push_back({what.first, what.second, std::to_string(sum.count), std::to_string(sum.bytes)});
  for (auto& row : rows) row.resize(4);
  return table(rows);
}

std::string placements_table(const std::vector<PlacementInfo>& placements) {
  Rows rows = {{"value", "operation", "type", "placement", "scope"}};
  for (const PlacementInfo& p : placements)
    rows.push_back({p.value, p.operation, p.type, p.placement, p.scope});
  return table(rows);
}

}  // namespace tutti::cli
