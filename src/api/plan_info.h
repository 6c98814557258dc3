// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "plan/plan.h"
#include "tutti/engine.h"

namespace tutti {

/// A step of a plan, as the plan's rank runs it.
StepInfo step_info(const Step& step, bool prepare, int rank);

/// A plan of a program.
PlanInfo plan_info(const Program& program, const Plan& plan);

}  // namespace tutti
