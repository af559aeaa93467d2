#include "apps/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <map>

#include "apps/ensemble.h"
#include "apps/metrics.h"
#include "apps/report_page.h"
#include "apps/report_songs.h"
#include "apps/svg.h"

namespace etude::apps {

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

// "1 to 9".
std::string scale_of(const Json& e) {
  return fmt::format("{:g} to {:g}", e.at("scale")[0].get<double>(),
                     e.at("scale")[1].get<double>());
}

// "songs judged, by 72 windows": of the items as the evaluation counts them ("6 songs").
std::string judged(const Json& e) {
  const auto items = e.at("items").get<std::string>();
  std::string text = items.substr(items.find(' ') + 1) + " judged";
  if (e.at("windows") != e.at("n"))
    text += fmt::format(", by {} windows", e.at("windows").get<int>());
  return text;
}

// ---- classification -----------------------------------------------------------------------------

std::string classification_headline(const Json& e) {
  const double accuracy = e.at("accuracy"), majority = e.at("majority");
  const auto interval = e.at("accuracy_interval").get<std::vector<double>>();
  std::vector<Tile> list = {
      {percent(accuracy),
       fmt::format("accuracy on {} ({} to {} with 95 % confidence)",
                   e.at("split").get<std::string>(), percent(interval[0]), percent(interval[1]))},
      {fmt::format("{:.3f}", e.at("macro_f1").get<double>()), "macro-F1"},
      {fmt::format("{:.3f}", e.at("loss").get<double>()), "cross-entropy"},
      {fmt::format("{}", e.at("n").get<int>()), judged(e)}};
  std::vector<Bar> bars = {{"this model", accuracy, 0, interval[0], interval[1]}};
  if (!e.at("linear").is_null())
    bars.push_back({"linear floor", e.at("linear").get<double>(), 1, {}, {}});
  bars.push_back({"majority class", majority, 2, {}, {}});
  std::string text = "<p class=\"lead\">";
  text += escape(
      fmt::format("The majority class is \"{}\": always answering it is right in {} of the cases.",
                  e.at("majority_class").get<std::string>(), percent(majority)));
  if (!e.at("linear").is_null())
    text +=
        " The linear floor is a softmax on mean and deviation of every band (of images: every "
        "row of pixels): what can be had without a network.";
  return tiles(list) + text + "</p>\n" +
         section("Beside the baselines", card(bars_svg(bars), "bars"));
}

// Where classes made of valence and arousal meet.
std::string levels_lead(const Json& e) {
  if (!e.contains("cuts")) return {};
  std::string text = fmt::format("<p class=\"lead\">Cuts by {}", e.at("cuts").get<std::string>());
  for (const char* axis : {"valence", "arousal"}) {
    const auto at = e.at("thresholds").at(axis).get<std::vector<double>>();
    if (!at.empty()) text += fmt::format("; {} at {:.3g}", axis, fmt::join(at, ", "));
  }
  return text + fmt::format(". The scale is {}.</p>\n", scale_of(e));
}

std::string classification_details(const Json& e) {
  const auto names = e.at("classes").get<std::vector<std::string>>();
  const auto confusion = e.at("confusion").get<std::vector<std::vector<int>>>();
  // Always answering one class finds all of it, and is right in its share of the cases.
  const auto constant = e.at("majority_class").get<std::string>();
  std::vector<std::string> head = {"class", "precision", "recall", "F1", "support"};
  const bool linear = !e.at("per_class").empty() && e.at("per_class")[0].contains("linear_f1");
  if (linear) head.emplace_back("F1 of the linear floor");
  if (!constant.empty()) head.push_back("F1 of always \"" + constant + "\"");
  std::vector<std::vector<std::string>> rows;
  for (const Json& c : e.at("per_class")) {
    const int support = c.at("support");
    rows.push_back({escape(c.at("class").get<std::string>()),
                    metered(c.at("precision").get<double>()), metered(c.at("recall").get<double>()),
                    metered(c.at("f1").get<double>()), fmt::format("{}", support)});
    if (linear) rows.back().push_back(fmt::format("{:.3f}", c.at("linear_f1").get<double>()));
    if (constant.empty()) continue;
    const double f1 =
        c.at("class") == constant ? 2.0 * support / (support + e.at("n").get<int>()) : 0;
    rows.back().push_back(fmt::format("{:.3f}", f1));
  }
  const std::string where = e.at("split").get<std::string>();
  return section("Confusion matrix, " + where,
                 card("<div class=\"matrix\">" + confusion_svg(confusion, names) + "</div>\n")) +
         section("Classes", card(table(head, rows)) + levels_lead(e));
}

// ---- regression ---------------------------------------------------------------------------------

// Over time: each song by itself, then the mean.
std::string per_song_table(const Json& e) {
  if (!e.contains("per_song")) return {};
  const auto cell = [](const Json& of, const char* metric, const char* axis) {
    return fmt::format("{:.3f}", of.at(metric).at(axis).get<double>());
  };
  std::vector<std::vector<std::string>> rows;
  for (const char* axis : {"valence", "arousal"}) {
    const Json& model = e.at("per_song");
    rows.push_back({axis, cell(model, "rmse", axis),
                    cell(e.at("mean_predictor").at("per_song"), "rmse", axis),
                    cell(model, "pearson", axis), cell(model, "ccc", axis)});
    if (!e.contains("linear")) continue;
    const Json& linear = e.at("linear").at("per_song");
    rows.push_back({std::string(axis) + ", linear floor", cell(linear, "rmse", axis), "",
                    cell(linear, "pearson", axis), cell(linear, "ccc", axis)});
  }
  return section("Per song, then averaged",
                 card(table({"axis", "RMSE", "RMSE of the mean", "Pearson r", "CCC"}, rows)) +
                     "<p class=\"lead\">A value every half second. The table above has all of "
                     "them together; here each song is judged by itself.</p>\n");
}

std::string regression_headline(const Json& e) {
  std::vector<Tile> list;
  for (const char* axis : {"valence", "arousal"})
    list.push_back({fmt::format("{:.3f}", e.at("r2").at(axis).get<double>()),
                    fmt::format("R2 of {} on {}", axis, e.at("split").get<std::string>())});
  list.push_back({fmt::format("{}", e.at("n").get<int>()), judged(e)});
  list.push_back({scale_of(e), "scale of both axes"});
  std::vector<std::string> head = {"axis", "R2", "RMSE", "RMSE of the mean", "Pearson r", "CCC"};
  if (e.contains("linear")) head.push_back("RMSE of the linear floor");
  std::vector<std::vector<std::string>> rows;
  for (const char* axis : {"valence", "arousal"}) {
    const auto cell = [&](const Json& values) {
      return fmt::format("{:.3f}", values.at(axis).get<double>());
    };
    rows.push_back({axis, cell(e.at("r2")), cell(e.at("rmse")),
                    cell(e.at("mean_predictor").at("rmse")), cell(e.at("pearson")),
                    cell(e.at("ccc"))});
    if (e.contains("linear")) rows.back().push_back(cell(e.at("linear").at("rmse")));
  }
  return tiles(list) + section("Beside the baselines", card(table(head, rows))) + per_song_table(e);
}

std::string regression_details(const Json& e) {
  Scatter valence{"Valence", "annotated", "predicted", 0, 1, true, false, {}, {}, "", ""};
  valence.low = e.at("scale")[0], valence.high = e.at("scale")[1];
  Scatter arousal = valence, plane = valence;
  arousal.title = "Arousal";
  plane.title = "Both axes";
  plane.x_label = "valence", plane.y_label = "arousal";
  plane.diagonal = false, plane.cross = true;
  plane.points_name = "predicted", plane.others_name = "annotated";
  for (const Json& song : e.at("list")) {
    const std::string id = song[0];
    const double tv = song[1], ta = song[2], pv = song[3], pa = song[4];
    valence.points.push_back({tv, pv, fmt::format("{}: {:.2f}, predicted {:.2f}", id, tv, pv)});
    arousal.points.push_back({ta, pa, fmt::format("{}: {:.2f}, predicted {:.2f}", id, ta, pa)});
    plane.points.push_back({pv, pa, id + ", predicted"});
    plane.others.push_back({tv, ta, id + ", annotated"});
  }
  return section("Every song", "<div class=\"grid three\">\n" + card(scatter_svg(valence)) +
                                   card(scatter_svg(arousal)) + card(scatter_svg(plane)) +
                                   "</div>\n");
}

// ---- learning curves ----------------------------------------------------------------------------

std::string curves(const std::vector<EpochRecord>& records, const Json& evaluation) {
  Series loss{"training", {}, {}, 0}, val_loss{"validation", {}, {}, 1};
  Series accuracy = loss, val_accuracy = val_loss, lr{"lr", {}, {}, 0};
  std::optional<double> best;
  double seconds = 0;
  for (const EpochRecord& r : records) {
    for (Series* s : {&loss, &val_loss, &accuracy, &val_accuracy, &lr}) s->x.push_back(r.epoch);
    loss.y.push_back(r.loss);
    val_loss.y.push_back(r.val_loss.value_or(none));
    accuracy.y.push_back(r.accuracy.value_or(none));
    val_accuracy.y.push_back(r.val_accuracy.value_or(none));
    lr.y.push_back(r.lr);
    if (r.best) best = r.epoch;
    seconds += r.seconds;
  }
  const std::string mark = best ? fmt::format("best: {:g}", *best) : "";
  std::vector<LineChart> charts;
  charts.push_back({"Loss", "epoch", {loss, val_loss}, best, mark, {}, "", false});
  if (!records.empty() && records.front().accuracy) {
    LineChart chart{"Accuracy", "epoch", {accuracy, val_accuracy}, best, mark, {}, "", false};
    if (evaluation.contains("majority")) {
      chart.level = evaluation.at("majority").get<double>();
      chart.level_label = "majority";
    }
    charts.push_back(chart);
  }
  charts.push_back({"Learning rate", "epoch", {lr}, {}, "", {}, "", true});
  std::string out = "<div class=\"grid three\">\n";
  for (const LineChart& chart : charts) out += card(line_chart_svg(chart));
  const auto minutes = seconds / 60;
  return section("Learning curves", out + "</div>\n") +
         fmt::format(
             "<p class=\"lead\">{} epochs in {:.1f} minutes; the weights of epoch {} are the "
             "ones evaluated.</p>\n",
             records.size(), minutes, best ? fmt::format("{:g}", *best) : "-");
}

std::string data_section(const Json& run) {
  const Json& d = run.at("data");
  std::vector<std::string> head = {"part", "items"};
  std::vector<std::vector<std::string>> rows;
  for (const char* part : {"train", "val", "test"}) {
    rows.push_back({part, fmt::format("{}", d.at(part).at("n").get<int>())});
    if (!d.at(part).contains("classes") || d.at(part).at("classes").size() > 12) continue;
    for (const auto& [name, count] : d.at(part).at("classes").items()) {
      if (std::string(part) == "train") head.push_back(name);
      rows.back().push_back(fmt::format("{}", count.get<int>()));
    }
  }
  std::string notes;
  for (const char* kind : {"notes", "warnings"})
    for (const Json& line : d.at(kind))
      notes += "<p class=\"lead\">" + escape(line.get<std::string>()) + "</p>\n";
  return section("Data", card(table(head, rows)) + notes);
}

// Which recipe, and of one that repeats flaws: which, and what the part that chose the weights
// says.
std::string recipe_section(const Json& run, const RunFolder& folder) {
  if (!run.contains("recipe")) return {};
  const Json& recipe = run.at("recipe");
  std::string text =
      fmt::format("<p class=\"lead\">{}: {}</p>\n", escape(recipe.at("name").get<std::string>()),
                  escape(recipe.at("reason").get<std::string>()));
  for (const auto& [key, title] : {std::pair{"flaws", "Flaws, repeated on purpose"},
                                   {"assumed", "Assumed, where the source says nothing"}}) {
    if (!recipe.contains(key)) continue;
    std::string list;
    for (const Json& line : recipe.at(key))
      list += "<li>" + escape(line.get<std::string>()) + "</li>\n";
    text += card(fmt::format("<p>{}</p>\n<ul>\n{}</ul>\n", title, list));
  }
  if (recipe.at("name") == "original" && std::filesystem::exists(folder.evaluation("val"))) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [part, title] :
         {std::pair{"val", "as the original reports it: the part that chose the weights"},
          {"test", "honest: songs that chose nothing"}}) {
      if (!std::filesystem::exists(folder.evaluation(part))) continue;
      const Json e = read_json(folder.evaluation(part));
      if (!e.contains("accuracy")) continue;
      rows.push_back({title, fmt::format("{:.3f}", e.at("accuracy").get<double>()),
                      fmt::format("{:.3f}", e.at("majority").get<double>()), e.at("n").dump()});
    }
    text += card(table({"accuracy on", "model", "majority", "songs"}, rows));
  }
  return section("Recipe", text);
}

std::string members_section(const RunFolder& folder, const Json& evaluation) {
  if (!holds_ensemble(folder.path())) return {};
  const Ensemble ensemble = read_ensemble(folder.path());
  std::map<std::string, std::string> worth;
  if (evaluation.contains("members"))
    for (const Json& member : evaluation.at("members"))
      worth[member.at("member")] = fmt::format(
          "{:.3f}", member.at(member.contains("ccc") ? "ccc" : "accuracy").get<double>());
  std::vector<std::vector<std::string>> rows;
  for (const auto& member : ensemble.members)
    rows.push_back({escape(member.path + (member.what.empty() ? "" : ": " + member.what)),
                    fmt::format("{:.3g}", member.vote.weight), worth[member.path]});
  return section("Members", "<p class=\"lead\">" + escape(ensemble.kind) +
                                ": the numbers above are those of all members together.</p>\n" +
                                card(table({"member", "weight", "alone"}, rows)));
}

// The last name of a path that may end in a slash.
std::string folder_name(const std::filesystem::path& folder) {
  std::filesystem::path absolute = std::filesystem::absolute(folder).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  return absolute.filename().string();
}

std::string folded(const std::string& title, const Json& object) {
  return "<details>\n<summary>" + escape(title) + "</summary>\n" + card(key_table(object)) +
         "</details>\n";
}

}  // namespace

void write_report(const RunFolder& folder) {
  const Json run = read_run(folder);
  const Json& config = run.at("config");
  const std::vector<EpochRecord> records = read_metrics(folder.metrics());
  Json evaluation;
  for (const char* part : {"test", "val", "train", "all"}) {
    if (!std::filesystem::exists(folder.evaluation(part))) continue;
    evaluation = read_json(folder.evaluation(part));
    break;
  }
  std::string body;
  const bool classification = evaluation.contains("accuracy");
  if (evaluation.is_null())
    body += "<p class=\"lead\">Not evaluated yet: run `etude eval` on this folder.</p>\n";
  else
    body += classification ? classification_headline(evaluation) : regression_headline(evaluation);
  body += members_section(folder, evaluation);
  if (!records.empty()) body += curves(records, evaluation);
  if (!evaluation.is_null())
    body += (classification ? classification_details(evaluation) : regression_details(evaluation)) +
            songs_sections(evaluation);
  body += recipe_section(run, folder);
  body += data_section(run);
  Json spec = run.at("spec");
  spec.erase("statistics");
  body += section("How it was made", folded("Configuration", config) +
                                         folded("Model, task and front end", spec) +
                                         folded("Environment", run.at("environment")));
  const std::string title = fmt::format("{} on {}", run.at("spec").at("model").get<std::string>(),
                                        config.at("dataset").get<std::string>());
  const std::string subtitle =
      fmt::format("run {}, task {}, seed {}, {}", folder_name(folder.path()),
                  config.at("task").get<std::string>(), config.at("seed").dump(),
                  run.at("environment").at("device").get<std::string>());
  write_text(folder.report(), page(title, subtitle, body));
}

namespace {

// "run cv, vgg4 on deam, task va, recipe small, 3 folds", as far as it is known.
std::string cv_subtitle(const std::filesystem::path& folder, std::size_t folds) {
  std::string text;
  if (const RunFolder run(folder); std::filesystem::exists(run.run_json())) {
    const Json recorded = read_run(run);
    const Json& config = recorded.at("config");
    text = fmt::format(
        "run {}, {} on {}, task {}, ", folder_name(folder), config.at("model").get<std::string>(),
        config.at("dataset").get<std::string>(), config.at("task").get<std::string>());
    if (recorded.contains("recipe"))
      text += "recipe " + recorded.at("recipe").at("name").get<std::string>() + ", ";
  }
  return text + fmt::format("{} folds", folds);
}

}  // namespace

void write_cv_report(const std::filesystem::path& folder, const Json& cv) {
  std::vector<Tile> list;
  for (const auto& [name, value] : cv.at("mean").items())
    list.push_back({fmt::format("{:.3f} \xC2\xB1 {:.3f}", value.get<double>(),
                                cv.at("deviation").at(name).get<double>()),
                    name});
  if (cv.contains("scale")) list.push_back({scale_of(cv), "scale of both axes"});
  std::vector<std::string> head = {"fold"};
  std::vector<std::vector<std::string>> rows;
  for (const Json& fold : cv.at("folds")) {
    const std::string name = fold.at("name");
    rows.push_back({fmt::format("<a href=\"{0}/report.html\">{0}</a>", escape(name))});
    for (const auto& [key, value] : fold.items()) {
      if (key == "name") continue;
      if (rows.size() == 1) head.push_back(key);
      rows.back().push_back(value.is_number_integer() ? value.dump()
                                                      : fmt::format("{:.3f}", value.get<double>()));
    }
  }
  const std::string body =
      tiles(list) +
      "<p class=\"lead\">Mean and sample deviation over the folds. Each fold's test part was held "
      "out of training, of the choice of weights and of early stopping.</p>\n" +
      section("Folds", card(table(head, rows)));
  write_text(RunFolder(folder).report(),
             page("Cross-validation", cv_subtitle(folder, cv.at("folds").size()), body));
}

}  // namespace etude::apps
