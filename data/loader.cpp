#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <utility>

#include "engine/device.h"
#include "engine/transfer.h"

namespace etude::data {
namespace {

// Where a sample is cut from: in training the start is drawn.
struct Sample {
  int item = 0, start = 0;  // in frames
  int step = 0;             // the same in steps, over time
  int frames = 0;           // that it is made of; width unless its tempo changes
  int copy = 0;             // which of several of the item in one epoch
};

// A batch on its way to the device.
struct Coming {
  Upload x, labels, targets, mask, other_labels;
  AugmentationUpload augmentation;  // of x
  Tensor augmented;                 // where that is done already
  double mix = 1;
  int annotated = 0;
  std::vector<int> items, starts;
};

// From Beta(alpha, alpha), the larger of l and 1 - l. (Joehnk, Metrika 8, 1964.)
double draw_mix(double alpha, Generator random) {
  for (int tries = 0; tries < 10'000; ++tries) {
    const double a = std::pow(random.uniform(), 1 / alpha);
    const double b = std::pow(random.uniform(), 1 / alpha);
    if (a + b <= 1 && a + b > 0) return std::max(a, b) / (a + b);
  }
  return 1;
}

// First and last annotated step.
struct Annotated {
  int first = 0, last = 0;
};
Annotated annotated_steps(const DynamicAnnotation& dynamic) {
  return {step_at(dynamic.seconds.front()), step_at(dynamic.seconds.back())};
}

// Starts of the evaluation windows over `frames` frames (loader.h).
std::vector<int> window_starts(int frames, int width, int step) {
  std::vector<int> starts{0};
  while (starts.back() + step + width <= frames) starts.push_back(starts.back() + step);
  const int uncovered = frames - (starts.back() + width);
  if (2 * uncovered >= step) starts.push_back(frames - width);
  return starts;
}

}  // namespace

struct Loader::Impl {
  const Dataset& dataset;
  const FeatureSet& features;
  const Task task;
  const std::vector<int> items;
  const LoaderOptions options;
  std::vector<float> mean, factor;  // per band: (x - mean) factor
  int height = 0, width = 0;
  std::vector<Sample> windows;  // of the epoch
  Generator random;             // of the epoch
  bool started = false;
  int at = 0;                 // the batch that next() gives
  std::future<Coming> ahead;  // that batch, where there is one
  Coming given;               // the batch that next() gave last: its copy may be under way still

  Impl(const Dataset& data, const FeatureSet& set, const BandStatistics& statistics, Task the_task,
       std::vector<int> which, LoaderOptions the_options)
      : dataset(data),
        features(set),
        task(std::move(the_task)),
        items(std::move(which)),
        options(std::move(the_options)) {
    check(options.batch_size > 0 && options.width >= 0 && options.window_step >= 0,
          "loader: batch size {}, width {}, window step {}; expected positive numbers",
          options.batch_size, options.width, options.window_step);
    check(!items.empty(), "loader: no items");
    check(task.dynamic() == (options.steps > 0) &&
              (options.steps == 0 || options.grid.frames_per_step >= 1),
          "loader: {} steps of {} frames for task {}", options.steps, options.grid.frames_per_step,
          to_string(task.kind));
    check(!task.dynamic() || (options.tempo == 0 && options.mixup == 0),
          "loader: samples over time keep their tempo and are not mixed");
    check(options.weights.empty() ||
              (options.weights.size() == items.size() &&
               std::all_of(options.weights.begin(), options.weights.end(),
                           [](double w) { return w >= 0 && std::isfinite(w); })),
          "loader: {} weights for {} items; expected one an item, none negative",
          options.weights.size(), items.size());
    check_items();
    width = options.steps > 0 ? options.grid.frames(options.steps) : options.width;
    if (width == 0)
      for (const Features& item : features.items) width = std::max(width, item.width);
    set_statistics(statistics);
    if (!options.training) plan_evaluation();
  }

  void check_items() {
    for (const int i : items) {
      const Features& item = features.items.at(i);
      const std::string& id = dataset.items.at(i).id;
      check(!item.values.empty(), "loader: {} has no features; prepare them first", id);
      check(height == 0 || item.height == height, "loader: {} has {} bands, the items before it {}",
            id, item.height, height);
      height = item.height;
      if (task.dynamic())
        check(!dataset.items[i].dynamic.seconds.empty(), "loader: {} has no annotation over time",
              id);
      else if (task.regression())
        check(dataset.items[i].affect.has_value(), "loader: {} has no valence and arousal", id);
      else
        check(task.label(dataset.items[i]) >= 0, "loader: {} has no label for task {}", id,
              to_string(task.kind));
    }
  }

  void set_statistics(const BandStatistics& statistics) {
    mean.assign(height, 0.0f);
    factor.assign(height, 1.0f);
    if (statistics.mean.empty()) return;
    check(static_cast<int>(statistics.mean.size()) == height &&
              statistics.deviation.size() == statistics.mean.size(),
          "loader: statistics of {} bands for features of {}", statistics.mean.size(), height);
    mean = statistics.mean;
    for (int band = 0; band < height; ++band)
      if (statistics.deviation[band] > 0) factor[band] = 1 / statistics.deviation[band];
  }

  void plan_evaluation() {
    if (task.dynamic()) return plan_dynamic_evaluation();
    const int step = options.window_step > 0 ? options.window_step : width;
    for (const int i : items)
      for (const int start : window_starts(features.items[i].frames(), width, step))
        windows.push_back({i, start, 0, width});
  }

  int song_steps(int item) const { return options.grid.steps(features.items[item].frames()); }

  void plan_dynamic_evaluation() {
    const int stride = options.window_step > 0 ? options.window_step : (options.steps + 1) / 2;
    for (const int i : items) {
      const int last = std::max(0, song_steps(i) - options.steps);
      for (int step = 0; step < last; step += stride)
        windows.push_back({i, options.grid.frames(step), step, width});
      windows.push_back({i, options.grid.frames(last), last, width});
    }
  }

  Sample draw_dynamic(int item, Generator& random_start) const {
    const Annotated range = annotated_steps(dataset.items[item].dynamic);
    const int half = options.steps / 2, last = std::max(0, song_steps(item) - options.steps);
    const int from = std::clamp(range.first - half, 0, last);
    const int to = std::clamp(range.last + 1 - half, from, last);
    const int step = options.random_crop
                         ? from + static_cast<int>(random_start.below(to - from + 1))
                         : (from + to) / 2;
    return {item, options.grid.frames(step), step, width};
  }

  void plan_training() {
    windows.clear();
    int copy = 0;
    for (const int i : epoch_items()) {
      copy = !windows.empty() && windows.back().item == i ? copy + 1 : 0;
      Generator own = sample_stream(i, copy);
      if (task.dynamic()) {
        windows.push_back(draw_dynamic(i, own));
        windows.back().copy = copy;
        continue;
      }
      int frames = width;
      if (options.tempo > 0) {
        const double u = own.fork(1).uniform(-options.tempo, options.tempo);
        frames = std::max(1, static_cast<int>(std::lround(width * std::exp2(u))));
      }
      const int room = features.items[i].frames() - frames;
      const int start = room <= 0              ? 0
                        : !options.random_crop ? room / 2
                                               : static_cast<int>(own.below(room + 1));
      windows.push_back({i, start, 0, frames, copy});
    }
    Generator order = random;
    order.shuffle(windows.begin(), windows.end());
  }

  // Of one item in this epoch. Named by the item, not by its place in
  // the epoch, so that it does not depend on batch size or order.
  Generator sample_stream(int item, int copy) const {
    const Generator stream = random.fork(static_cast<std::uint64_t>(item));
    return copy == 0 ? stream : stream.fork(~static_cast<std::uint64_t>(copy));
  }

  // The items of an epoch, those of one item together. Weighted: systematic sampling, equally
  // spaced points with one random start on the line of all weights, so that whole numbers that add
  // up to the number of items come out exactly.
  std::vector<int> epoch_items() const {
    if (options.weights.empty()) return items;
    double total = 0;
    for (const double weight : options.weights) total += weight;
    const double step = total / static_cast<double>(items.size());
    double point = random.fork(~std::uint64_t{0}).uniform() * step, end = 0;
    std::vector<int> chosen;
    for (std::size_t i = 0; i < items.size(); ++i) {
      end += options.weights[i];
      for (; point < end && chosen.size() < items.size(); point += step) chosen.push_back(items[i]);
    }
    // Rounding may lose the last point.
    while (chosen.size() < items.size())
      chosen.push_back(chosen.empty() ? items[0] : chosen.back());
    return chosen;
  }

  int samples() const { return static_cast<int>(options.training ? items.size() : windows.size()); }

  int batches() const {
    const int size = options.batch_size;
    return options.training && options.drop_last ? samples() / size : (samples() + size - 1) / size;
  }

  bool augments() const {
    return options.training && (options.augment || options.tempo > 0 || options.mixup > 0);
  }

  // Standardises the window into out [height, out_width], padded at its end.
  void cut(const Sample& window, float* out, int out_width) const {
    const Features& item = features.items[window.item];
    const int filled = std::clamp(item.frames() - window.start, 0, window.frames);
    const auto pad = static_cast<float>(options.pad_value);
    for (int band = 0; band < height; ++band) {
      const float* from = item.values.data() + std::size_t(band) * item.width + window.start;
      float* to = out + std::size_t(band) * out_width;
      const float m = mean[band], f = factor[band];
      for (int frame = 0; frame < filled; ++frame) to[frame] = (from[frame] - m) * f;
      std::fill(to + filled, to + out_width, pad);
    }
  }

  // Where the frames of a sample come from in the window that was cut for it, which has another
  // number of them where its tempo changes. Where the song is shorter than the window, the last
  // part is padding (-1), as long as its share.
  std::vector<float> frame_positions(const Sample& window) const {
    const Features& item = features.items[window.item];
    const int there = std::clamp(item.frames() - window.start, 1, window.frames);
    // The first and the last frame stay the first and the last.
    const double step = width > 1 ? (window.frames - 1.0) / (width - 1) : 1;
    const int filled =
        step > 0 ? std::min(width, static_cast<int>((there - 1) / step + 1e-9) + 1) : width;
    std::vector<float> at(width, -1.0f);
    for (int frame = 0; frame < filled; ++frame)
      at[frame] = static_cast<float>(std::min(frame * step, there - 1.0));
    return at;
  }

  // Draws what is done to the n samples from `first` on.
  AugmentationUpload draw_augmentation(int first, int n, double mix) const {
    std::vector<SampleAugmentation> samples(n);
    for (int k = 0; k < n; ++k) {
      const Sample& window = windows[first + k];
      if (options.augment) {
        // The crop used the stream itself.
        Generator own = sample_stream(window.item, window.copy).fork(0);
        samples[k] = options.augment(height, width, own);
      }
      if (options.tempo > 0) samples[k].frame_at = frame_positions(window);
      // Each with the one after it, the last with the first.
      if (options.mixup > 0) {
        samples[k].values.mix = static_cast<float>(mix);
        samples[k].values.partner = (k + 1) % n;
      }
    }
    return {samples, height, width, options.device};
  }

  // What is known of the samples, mixed as x will be.
  void mix_answers(const Tensor& labels, const Tensor& targets, Coming& batch) const {
    const auto n = static_cast<int>(batch.items.size());
    if (targets.defined()) {
      const auto own = static_cast<float>(batch.mix);
      const std::vector<float> before = targets.to_vector<float>();
      const std::size_t size = before.size() / n;
      for (int k = 0; k < n; ++k)
        for (std::size_t i = 0; i < size; ++i)
          targets.data<float>()[size * k + i] =
              own * before[size * k + i] + (1 - own) * before[size * ((k + 1) % n) + i];
    }
    if (!labels.defined()) return;
    Tensor other = Tensor::host_for(options.device, {n}, DType::i64);
    for (int k = 0; k < n; ++k)
      other.data<std::int64_t>()[k] = labels.data<std::int64_t>()[(k + 1) % n];
    batch.other_labels = Upload(std::move(other), options.device);
  }

  Coming make(int index) const {
    const int first = index * options.batch_size;
    const int n = std::min(options.batch_size, samples() - first);
    int cut_width = 0;
    for (int k = 0; k < n; ++k) cut_width = std::max(cut_width, windows[first + k].frames);
    Tensor x = Tensor::host_for(options.device, {n, height, cut_width, 1});
    Tensor labels, targets, mask;
    Coming batch;
    for (int k = 0; k < n; ++k) {
      const Sample& window = windows[first + k];
      cut(window, x.data<float>() + std::size_t(k) * height * cut_width, cut_width);
      batch.items.push_back(window.item);
      if (task.dynamic()) batch.starts.push_back(window.step);
    }
    if (!task.regression()) {
      labels = Tensor::host_for(options.device, {n}, DType::i64);
      for (int k = 0; k < n; ++k)
        labels.data<std::int64_t>()[k] = task.label(dataset.items[batch.items[k]]);
    }
    if (task.dynamic()) {
      targets = Tensor::host_for(options.device, {n, 2 * options.steps});
      mask = Tensor::host_for(options.device, {n, 2 * options.steps});
      for (int k = 0; k < n; ++k)
        batch.annotated +=
            write_curve(windows[first + k], targets.data<float>() + Index(2) * options.steps * k,
                        mask.data<float>() + Index(2) * options.steps * k);
    } else if (std::all_of(batch.items.begin(), batch.items.end(),
                           [&](int item) { return dataset.items[item].affect.has_value(); })) {
      targets = Tensor::host_for(options.device, {n, 2});
      for (int k = 0; k < n; ++k) {
        const Affect& affect = *dataset.items[batch.items[k]].affect;
        targets.data<float>()[2 * k] = static_cast<float>(affect.valence);
        targets.data<float>()[2 * k + 1] = static_cast<float>(affect.arousal);
      }
    }
    batch.x = Upload(std::move(x), options.device);
    if (options.training && options.mixup > 0) {
      batch.mix = draw_mix(options.mixup, random.fork(~static_cast<std::uint64_t>(index)));
      mix_answers(labels, targets, batch);
    }
    if (augments()) batch.augmentation = draw_augmentation(first, n, batch.mix);
    batch.labels = Upload(std::move(labels), options.device);
    batch.targets = Upload(std::move(targets), options.device);
    batch.mask = Upload(std::move(mask), options.device);
    if (augments() && shares_host_memory(options.device))
      batch.augmented = batch.augmentation(batch.x.tensor(), options.pad_value);
    return batch;
  }

  // The annotations of a sample's steps, and where there are any; returns how many numbers are.
  // A step beyond the audio has none.
  int write_curve(const Sample& window, float* values, float* known) const {
    std::fill(values, values + Index(2) * options.steps, 0.0f);
    std::fill(known, known + Index(2) * options.steps, 0.0f);
    const DynamicAnnotation& curve = dataset.items[window.item].dynamic;
    const int end = std::min(options.steps, song_steps(window.item) - window.step);
    int count = 0;
    for (std::size_t i = 0; i < curve.seconds.size(); ++i) {
      const int step = step_at(curve.seconds[i]) - window.step;
      if (step < 0 || step >= end) continue;
      values[2 * step] = static_cast<float>(curve.valence[i]);
      values[2 * step + 1] = static_cast<float>(curve.arousal[i]);
      count += known[2 * step] == 0 ? 2 : 0;
      known[2 * step] = known[2 * step + 1] = 1;
    }
    return count;
  }

  void make_ahead() {
    if (at < batches())
      ahead = std::async(std::launch::async, [this, index = at] {
        set_num_threads(1);  // of this thread: the others work on the batch before
        return make(index);
      });
  }

  void start(int epoch) {
    if (ahead.valid()) ahead.wait();  // it reads the windows that are about to change
    ahead = {};
    started = true;
    at = 0;
    random = Generator(options.seed).fork(static_cast<std::uint64_t>(epoch));
    if (options.training) plan_training();
    make_ahead();
  }

  bool next(Batch& batch) {
    if (!started) start(0);
    if (at >= batches()) return false;
    check(ahead.valid(), "loader: the last batch failed; start an epoch");
    given = ahead.get();
    ++at;
    make_ahead();
    Tensor x = given.augmented;
    if (!x.defined()) {
      x = given.x.tensor();
      if (augments()) x = given.augmentation(x, options.pad_value);
    }
    batch = {x,
             given.labels.tensor(),
             given.targets.tensor(),
             given.mask.tensor(),
             given.other_labels.tensor(),
             given.mix,
             given.annotated,
             given.items,
             given.starts};
    return true;
  }
};

Loader::Loader(const Dataset& dataset, const FeatureSet& features, const BandStatistics& statistics,
               const Task& task, std::vector<int> items, LoaderOptions options)
    : impl_(std::make_unique<Impl>(dataset, features, statistics, task, std::move(items),
                                   std::move(options))) {}

Loader::~Loader() {
  if (impl_->ahead.valid()) impl_->ahead.wait();
}

void Loader::start_epoch(int epoch) { impl_->start(epoch); }
bool Loader::next(Batch& batch) { return impl_->next(batch); }
int Loader::batches() const { return impl_->batches(); }
int Loader::samples() const { return impl_->samples(); }
int Loader::width() const { return impl_->width; }
int Loader::song_steps(int item) const { return impl_->song_steps(item); }

}  // namespace etude::data
