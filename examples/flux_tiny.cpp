// SPDX-License-Identifier: Apache-2.0
// Draws a picture with a small FLUX: 20 steps of the transformer from stored noise, then the
// decoder. Writes a PNG and prints how far it is from the stored picture.
//
// Usage: flux_tiny MODEL_FOLDER OUTPUT.png     (tests/models/flux_tiny holds a model)
#include <png.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "flux_model.h"

namespace {

using flux::Picture;

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
  std::fill_n(bar.begin(), 20 * step / flux::kSteps, '#');
  std::fprintf(stderr, "\r[%s] step %d of %d, %.2f s%s", bar.c_str(), step, flux::kSteps, seconds,
               step == flux::kSteps ? "\n" : "");
}

int draw(const std::string& folder, const std::string& path) {
  const tutti::TensorMap stored = flux::stored_inputs(folder);
  const tutti::Engine transformer = flux::build_transformer(folder);
  const tutti::Engine decoder = flux::build_decoder(folder);

  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  tutti::Session session = transformer.session();
  const tutti::Tensor latents =
      flux::draw(session, stored, flux::kSteps, [&](int step) { show_progress(step, seconds()); });
  const Picture picture = flux::decode(decoder, latents);
  const double passed = seconds();

  if (!write_png(path, picture)) {
    std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
    return 1;
  }
  const int largest = flux::largest_difference(picture, read_png(folder + "/reference/fuji.png"));
  std::printf(
      "%s: %u x %u pixels in %.2f s; largest difference from the stored picture: %d of 255\n",
      path.c_str(), picture.width, picture.height, passed, largest);
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
