# What R's programs say where the chapters "contrasts", "checks" and "rosetta" quote them.
# Run in this folder: Rscript programs.R
# (Debian 12: apt-get install r-cran-lme4 r-cran-lmertest r-cran-emmeans r-cran-nlme r-cran-jsonlite)
# It writes programs.json: numbers with 12 significant digits, the versions and the date.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(emmeans); library(nlme)})
quietly <- function(x) suppressMessages(suppressWarnings(x))

# The rats, with lme4's default optimiser and with another one.
rats <- as.data.frame(nlme::BodyWeight)
rats$Diet <- factor(rats$Diet)
rats$Rat <- factor(as.character(rats$Rat))
formula <- weight ~ Time * Diet + (Time | Rat)
default <- quietly(lmerTest::lmer(formula, rats))
other <- lmerTest::lmer(formula, rats, control = lmerControl(optimizer = "bobyqa"))
trends <- emtrends(other, ~ Diet, var = "Time", lmer.df = "satterthwaite")
by_tests <- as.data.frame(quietly(joint_tests(other, lmer.df = "satterthwaite")))
told <- function(m) list(df = coef(summary(m))[, "df"], F = anova(m)[, "F value"],
                         says = as.character(m@optinfo$conv$lme4$messages))
body_weight <- list(
  default = told(default), bobyqa = told(other),
  in_order = anova(lme4::lmer(formula, rats, control = lmerControl(optimizer = "bobyqa")))[, "F value"],
  joint_tests = by_tests[["F.ratio"]], tukey = as.data.frame(pairs(trends))$p.value,
  profile = unname(quietly(confint(other, parm = "Time:Diet3"))[1, ]),
  nlme_df = unname(summary(lme(weight ~ Time * Diet, random = ~ Time | Rat, rats,
                               control = lmeControl(opt = "optim")))$tTable["Time", "DF"]))

# Noise with a model of its own, as the chapter "checks" prints the line.
line <- quote(lme(Reaction ~ Days, random = ~ Days | Subject, correlation = corAR1(),
  weights = varIdent(form = ~ 1 | Subject), data = lme4::sleepstudy,
  control = lmeControl(opt = "optim")))
without <- line; without$control <- NULL
m <- eval(line)
noise <- list(slope = unname(fixef(m)["Days"]), se = summary(m)$tTable["Days", "Std.Error"],
              memory = unname(coef(m$modelStruct$corStruct, unconstrained = FALSE)),
              without_control = conditionMessage(attr(try(eval(without), silent = TRUE), "condition")))

# Other optimisers, each from lme4's own start: the question of allFit.
controls <- list(
  bobyqa = lmerControl(optimizer = "bobyqa"), Nelder_Mead = lmerControl(optimizer = "Nelder_Mead"),
  nlminb = lmerControl(optimizer = "nlminbwrap"),
  nloptwrap_bobyqa = lmerControl(optimizer = "nloptwrap", optCtrl = list(algorithm = "NLOPT_LN_BOBYQA")),
  nloptwrap_Nelder_Mead = lmerControl(optimizer = "nloptwrap",
                                      optCtrl = list(algorithm = "NLOPT_LN_NELDERMEAD")))
four <- read.csv("../rosetta/four_groups.csv", colClasses = c(group = "factor"))
years <- transform(lme4::sleepstudy, year = Days + 2000)
optimisers <- lapply(controls, function(control) quietly(list(
  four_groups_ML = -2 * as.numeric(logLik(lme4::lmer(y ~ x + (1 | group), four, REML = FALSE, control = control))),
  years_2000 = REMLcrit(lme4::lmer(Reaction ~ year + (year | Subject), years, control = control)))))

# anova refits by ML.
one <- lme4::lmer(Reaction ~ Days + (1 | Subject), lme4::sleepstudy)
two <- lme4::lmer(Reaction ~ Days + (Days | Subject), lme4::sleepstudy)
by_anova <- list(refit = quietly(anova(one, two))$Chisq[2], not = anova(one, two, refit = FALSE)$Chisq[2])

versions <- sapply(c("lme4", "lmerTest", "emmeans", "nlme"), function(p) as.character(packageVersion(p)))
out <- list(about = list(language = R.version.string, packages = as.list(versions),
                         date = as.character(Sys.Date()), script = "programs.R"),
            body_weight = body_weight, noise = noise, optimisers = optimisers, anova = by_anova)
writeLines(jsonlite::toJSON(out, digits = I(12), auto_unbox = TRUE, pretty = TRUE), "programs.json")
