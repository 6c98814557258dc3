// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace tutti::cli {

/// Draws a bar on standard error while work goes on, if that is a terminal.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Draws into this bar, which must outlive the callback.
  ProgressCallback callback();
  /// Removes the bar.
  void clear();

 private:
  bool terminal_;
  bool drawn_ = false;
};

/// Shows messages of the library on standard error, from this level on.
void log_to_stderr(LogLevel level);

/// Rows of equal length in aligned columns, the first of them the heads. Columns that hold numbers
/// only stand right.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// "1.5 MiB"
std::string bytes_text(size_t bytes);
/// With as many digits as tell something: "0.0123", "12.3", "1.2e-07".
std::string number_text(double value);
/// "[2, batch]"
std::string shape_text(const Extents& shape);

/// "name=2x77" as a name and a shape; "name=" is a shape without dimensions. Throws UsageError.
std::pair<std::string, Dims> parse_shape(const std::string& text);

/// The shapes of --shape options. The n-th shapes of all names make the n-th set; a name with fewer
/// keeps its last.
std::vector<InputShapes> parse_shapes(const std::vector<std::string>& texts);

/// "keep", "f32" or "bf16" as BuildOptions::weights_dtype; throws UsageError.
std::optional<DType> parse_weights_dtype(const std::string& text);

/// True for a model that must be built, false for an engine file. Throws UsageError when there is
/// no such file.
bool is_model(const std::string& path);

}  // namespace tutti::cli
