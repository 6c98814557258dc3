// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tutti/tutti.h"

/// The small FLUX of tests/models/flux_tiny, drawn from stored noise and prompts.
namespace flux {

inline constexpr int kSteps = 20;

/// 8-bit pixels, three for each.
struct Picture {
  uint32_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

/// Noise, prompt, time steps and position numbers, as PyTorch had them.
tutti::TensorMap stored_inputs(const std::string& folder);

/// The transformer, for one rank or those of a mesh: BuildOptions::mesh and context. What depends
/// on the prompt alone is computed when that changes.
tutti::Engine build_transformer(const std::string& folder, const std::string& mesh = {},
                                const std::string& context = "ulysses");
tutti::Engine build_decoder(const std::string& folder);

/// Latents after `steps` steps, a divisor of kSteps: from noise to a picture in any case. All ranks
/// call it at once and have the same.
tutti::Tensor draw(tutti::Session& transformer, const tutti::TensorMap& stored, int steps,
                   const std::function<void(int step)>& progress);

/// The picture of latents.
Picture decode(const tutti::Engine& decoder, const tutti::Tensor& latents);

/// 255 for pictures of different sizes.
int largest_difference(const Picture& a, const Picture& b);

}  // namespace flux
