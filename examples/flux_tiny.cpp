// SPDX-License-Identifier: Apache-2.0
// Draws a picture with a small FLUX: 20 steps of the transformer from stored noise, then the
// decoder. Writes a PNG and prints how far it is from the stored picture.
//
// Usage: flux_tiny MODEL_FOLDER OUTPUT.png     (tests/models/flux_tiny holds a model)
#include <png.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace {

using tutti::Dims;
using tutti::DType;
using tutti::Tensor;

constexpr int kSteps = 20;
constexpr int64_t kRows = 32, kColumns = 32;  // of packed latents; a picture has 16 pixels for each
constexpr float kScale = 0.3519f, kShift = -0.0078f;  // model/vae/config.json

struct Picture {
  png_uint_32 width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

tutti::Engine build(const std::string& graph, const std::string& weights,
                    std::vector<std::string> held = {}) {
  tutti::BuildOptions options;
  options.held = std::move(held);
  options.weights = weights;
  options.weights_dtype = DType::f32;
  return tutti::Engine::build(graph, options);
}

// Packed latents [1, h w, 64] to [1, 16, 2h, 2w]: each token is 16 channels of 2 x 2.
Tensor unpack(const Tensor& x) {
  Tensor z = Tensor::zeros(DType::f32, {1, 16, 2 * kRows, 2 * kColumns});
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t column = 0; column < kColumns; ++column)
      for (int64_t i = 0; i < 64; ++i) {
        const int64_t c = i / 4, y = 2 * row + i / 2 % 2, at = 2 * column + i % 2;
        const float value = x.as<float>()[(row * kColumns + column) * 64 + i];
        z.as<float>()[(c * 2 * kRows + y) * 2 * kColumns + at] = value / kScale + kShift;
      }
  return z;
}

// [1, 3, h, w] in [-1, 1] to 8-bit pixels.
Picture to_picture(const Tensor& image) {
  Picture p{static_cast<png_uint_32>(image.shape[3]), static_cast<png_uint_32>(image.shape[2]), {}};
  const int64_t pixels = image.shape[2] * image.shape[3];
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t c = 0; c < 3; ++c) {
      const float value = image.as<float>()[c * pixels + i] / 2 + 0.5f;
      const float level = std::nearbyint(255 * std::fmin(std::fmax(value, 0.0f), 1.0f));
      p.rgb.push_back(static_cast<uint8_t>(level));
    }
  return p;
}

png_image header(const Picture& p) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = p.width;
  image.height = p.height;
  image.format = PNG_FORMAT_RGB;
  return image;
}

bool write_png(const std::string& path, const Picture& p) {
  png_image image = header(p);
  return png_image_write_to_file(&image, path.c_str(), 0, p.rgb.data(), 0, nullptr) != 0;
}

Picture read_png(const std::string& path) {
  Picture p;
  png_image image = header(p);
  if (!png_image_begin_read_from_file(&image, path.c_str())) return p;
  image.format = PNG_FORMAT_RGB;
  p.width = image.width, p.height = image.height;
  p.rgb.resize(PNG_IMAGE_SIZE(image));
  png_image_finish_read(&image, nullptr, p.rgb.data(), 0, nullptr);
  return p;
}

void show_progress(int step, double seconds) {
  std::string bar(20, '.');
  std::fill_n(bar.begin(), 20 * step / kSteps, '#');
  std::fprintf(stderr, "\r[%s] step %d of %d, %.2f s%s", bar.c_str(), step, kSteps, seconds,
               step == kSteps ? "\n" : "");
}

Tensor transformer_steps(const tutti::Engine& engine, const tutti::TensorMap& stored) {
  tutti::Session session = engine.session();
  Tensor x = tutti::cast(stored.at("noise"), DType::f32);
  const Tensor sigmas = tutti::cast(stored.at("sigmas"), DType::f32);
  const Tensor times = tutti::cast(stored.at("timesteps"), DType::f32);
  Tensor time = Tensor::zeros(DType::f32, {1});
  tutti::TensorMap inputs = {
      {"hidden_states", x},
      {"timestep", time},
      {"guidance", tutti::cast(stored.at("guidance"), DType::f32)},
      {"pooled_projections", stored.at("clip_pooled")},
      {"encoder_hidden_states", stored.at("t5_embeds")},
      {"txt_ids", tutti::cast(stored.at("text_ids"), DType::f32)},
      {"img_ids", tutti::cast(stored.at("image_ids"), DType::f32)},
  };
  const auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < kSteps; ++step) {
    time.as<float>()[0] = times.as<float>()[step] / 1000;
    const tutti::TensorMap outputs = session.run(inputs);
    const float* velocity = outputs.begin()->second.as<float>();
    const float distance = sigmas.as<float>()[step + 1] - sigmas.as<float>()[step];
    for (int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += distance * velocity[i];
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    show_progress(step + 1, passed.count());
  }
  return x;
}

int draw(const std::string& folder, const std::string& path) {
  const tutti::TensorMap stored = tutti::load_tensors(folder + "/reference/fuji.safetensors");
  const tutti::Engine transformer =
      build(folder + "/graphs/transformer.pt2", folder + "/model/transformer",
            {"guidance", "pooled_projections", "encoder_hidden_states", "txt_ids", "img_ids"});
  const tutti::Engine decoder = build(folder + "/graphs/vae_decoder.pt2", folder + "/model/vae");

  const auto start = std::chrono::steady_clock::now();
  const Tensor latents = transformer_steps(transformer, stored);
  tutti::Session session = decoder.session();
  const std::string latent_name = decoder.inputs()[0].name;
  const Tensor image = session.run({{latent_name, unpack(latents)}}).begin()->second;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;

  const Picture picture = to_picture(image);
  if (!write_png(path, picture)) {
    std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
    return 1;
  }
  const Picture expected = read_png(folder + "/reference/fuji.png");
  int largest = 255;
  if (expected.rgb.size() == picture.rgb.size()) {
    largest = 0;
    for (size_t i = 0; i < picture.rgb.size(); ++i)
      largest = std::max(largest, std::abs(picture.rgb[i] - expected.rgb[i]));
  }
  std::printf(
      "%s: %u x %u pixels in %.2f s; largest difference from the stored picture: %d of 255\n",
      path.c_str(), picture.width, picture.height, passed.count(), largest);
  return largest <= 1 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL_FOLDER OUTPUT.png\n", argv[0]);
    return 2;
  }
  try {
    return draw(argv[1], argv[2]);
  } catch (const tutti::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
