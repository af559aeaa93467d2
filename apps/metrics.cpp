#include "apps/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "engine/error.h"

namespace etude::apps {

namespace {

double ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0;
}

// Wilson's score interval: holds its level for small n and for rates near 0 and 1.
void wilson_interval(Classification& result) {
  if (result.n == 0) return;
  const double z = 1.959963984540054, n = result.n, p = result.accuracy;
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  result.accuracy_low = std::max(0.0, centre - half);
  result.accuracy_high = std::min(1.0, centre + half);
}

}  // namespace

Classification classify(const std::vector<int>& truth, const std::vector<int>& predicted,
                        int classes) {
  check(truth.size() == predicted.size(), "metrics: {} labels but {} predictions", truth.size(),
        predicted.size());
  Classification result;
  result.n = static_cast<int>(truth.size());
  result.classes.resize(classes);
  result.confusion.assign(classes, std::vector<int>(classes, 0));
  int correct = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    check(truth[i] >= 0 && truth[i] < classes && predicted[i] >= 0 && predicted[i] < classes,
          "metrics: labels must be below {}, sample {} has {} and is predicted as {}", classes, i,
          truth[i], predicted[i]);
    ++result.confusion[truth[i]][predicted[i]];
    correct += truth[i] == predicted[i];
  }
  result.accuracy = ratio(correct, result.n);
  wilson_interval(result);

  double f1_sum = 0;
  int f1_count = 0;
  for (int c = 0; c < classes; ++c) {
    ClassMetrics& m = result.classes[c];
    for (int other = 0; other < classes; ++other) {
      m.support += result.confusion[c][other];
      m.predicted += result.confusion[other][c];
    }
    const int hits = result.confusion[c][c];
    m.precision = ratio(hits, m.predicted);
    m.recall = ratio(hits, m.support);
    m.f1 = ratio(2.0 * hits, m.support + m.predicted);
    if (m.support + m.predicted > 0) {
      f1_sum += m.f1;
      ++f1_count;
    }
  }
  result.macro_f1 = ratio(f1_sum, f1_count);
  return result;
}

int majority_class(const std::vector<int>& labels, int classes) {
  std::vector<int> counts(classes, 0);
  for (int label : labels)
    if (label >= 0 && label < classes) ++counts[label];
  const auto largest = std::max_element(counts.begin(), counts.end());
  return largest == counts.end() || *largest == 0 ? -1 : static_cast<int>(largest - counts.begin());
}

double share(const std::vector<int>& truth, int label) {
  return ratio(static_cast<double>(std::count(truth.begin(), truth.end(), label)),
               static_cast<double>(truth.size()));
}

Regression regress(const std::vector<double>& truth, const std::vector<double>& predicted) {
  check(truth.size() == predicted.size(), "metrics: {} targets but {} predictions", truth.size(),
        predicted.size());
  Regression result;
  result.n = static_cast<int>(truth.size());
  if (truth.empty()) return result;
  const double n = result.n;
  double mean_x = 0, mean_y = 0;
  for (int i = 0; i < result.n; ++i) mean_x += truth[i], mean_y += predicted[i];
  mean_x /= n, mean_y /= n;
  double xx = 0, yy = 0, xy = 0, residual = 0;
  for (int i = 0; i < result.n; ++i) {
    const double dx = truth[i] - mean_x, dy = predicted[i] - mean_y, e = truth[i] - predicted[i];
    xx += dx * dx, yy += dy * dy, xy += dx * dy, residual += e * e;
  }
  result.r2 = xx > 0 ? 1 - residual / xx : 0;
  result.rmse = std::sqrt(residual / n);
  result.pearson = ratio(xy, std::sqrt(xx) * std::sqrt(yy));
  result.ccc = ratio(2 * xy / n, xx / n + yy / n + (mean_x - mean_y) * (mean_x - mean_y));
  return result;
}

std::vector<double> softmax_row(const double* logits, int classes) {
  const double top = *std::max_element(logits, logits + classes);
  std::vector<double> result(classes);
  double total = 0;
  for (int c = 0; c < classes; ++c) total += result[c] = std::exp(logits[c] - top);
  for (double& p : result) p /= total;
  return result;
}

double cross_entropy_row(const double* logits, int classes, int label) {
  const double top = *std::max_element(logits, logits + classes);
  double total = 0;
  for (int c = 0; c < classes; ++c) total += std::exp(logits[c] - top);
  return std::log(total) + top - logits[label];
}

int argmax(const double* values, int n) {
  return static_cast<int>(std::max_element(values, values + n) - values);
}

MeanSpread mean_spread(const std::vector<double>& values) {
  MeanSpread result;
  if (values.empty()) return result;
  for (double v : values) result.mean += v;
  result.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return result;
  double squares = 0;
  for (double v : values) squares += (v - result.mean) * (v - result.mean);
  result.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return result;
}

std::string confusion_text(const Classification& result, const std::vector<std::string>& names) {
  // Column heads are class names cut to the cell; the rows carry them in full.
  const std::string corner = "true \\ predicted";
  std::size_t head = corner.size(), cell = 5;
  for (const auto& name : names) {
    head = std::max(head, std::min<std::size_t>(name.size(), 28));
    cell = std::max(cell, std::min<std::size_t>(name.size(), 10));
  }
  std::string text = fmt::format("{:<{}}", corner, head);
  for (const auto& name : names) text += fmt::format("  {:>{}.{}}", name, cell, cell);
  text += "   recall\n";
  for (std::size_t row = 0; row < names.size(); ++row) {
    text += fmt::format("{:<{}.{}}", names[row], head, head);
    for (int count : result.confusion[row]) text += fmt::format("  {:>{}}", count, cell);
    text += fmt::format("  {:>7.3f}\n", result.classes[row].recall);
  }
  return text;
}

std::string class_table_text(const Classification& result, const std::vector<std::string>& names) {
  std::size_t width = 5;
  for (const auto& name : names) width = std::max(width, std::min<std::size_t>(name.size(), 28));
  std::string text = fmt::format("{:<{}}  precision   recall       F1  support\n", "class", width);
  for (std::size_t c = 0; c < names.size(); ++c) {
    const ClassMetrics& m = result.classes[c];
    text += fmt::format("{:<{}.{}}  {:>9.3f}  {:>7.3f}  {:>7.3f}  {:>7}\n", names[c], width, width,
                        m.precision, m.recall, m.f1, m.support);
  }
  return text;
}

}  // namespace etude::apps
