# What R's packages say about the verbs of a fit: see README.md of the folder above.
# Run in this folder: Rscript after.R    (Debian 12: apt-get install r-cran-lmertest r-cran-emmeans
# r-cran-nlme r-cran-performance r-cran-pbkrtest r-cran-metafor r-cran-jsonlite)
# It writes said.json (numbers with 15 significant digits, versions and date) and bcg.csv.
suppressPackageStartupMessages({library(lmerTest); library(emmeans); library(metafor)})

packages <- c("lme4", "lmerTest", "emmeans", "performance", "pbkrtest", "metafor", "nlme")
data(sleepstudy, package = "lme4")
data(BodyWeight, package = "nlme")
rats <- transform(as.data.frame(BodyWeight), Rat = factor(as.integer(as.character(Rat))))
rats <- rats[order(rats$Rat, rats$Time), ]
factorial <- read.csv("factorial.csv", stringsAsFactors = TRUE)
holed <- subset(factorial, !(f == "c" & k == "v"))  # a cell is empty
strict <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.01, rhoend = 1e-10, maxfun = 1e6))
# A search without derivatives stops at 1e-6 of theta; three steps of Newton's go on from there.
newton <- function(fn, par, lower, upper, control) {
  for (k in 1:3) par <- par - solve(numDeriv::hessian(fn, par), numDeriv::grad(fn, par))
  list(par = par, fval = fn(par), conv = 0, message = "polished")
}

models <- list(
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = strict),
  rats = lmer(weight ~ Time * Diet + (Time | Rat), rats, control = lmerControl(newton),
              start = getME(lmer(weight ~ Time * Diet + (Time | Rat), rats, control = strict), "theta")),
  intercepts = lmer(y ~ f * k + x + (1 | g), factorial, control = strict),
  crossed = lmer(y ~ f * k + f:x + (1 | g) + (1 | h), factorial, control = strict),
  slopes = lmer(y ~ f * k + x + (x | g), transform(factorial, x = x - 10), control = strict),
  weighted = lmer(y ~ f + k + x + (1 | g), factorial, weights = w, control = strict),
  no_intercept = lmer(y ~ 0 + f + x:k + (1 | g), factorial, control = strict),
  interaction = lmer(y ~ f * x + k + (1 | g), factorial, control = strict),
  ml = lmer(y ~ f * k + x + (1 | g), factorial, REML = FALSE, control = strict))

frame <- function(x) lapply(as.list(as.data.frame(x)), as.vector)
anova_of <- function(m, ...) {
  a <- anova(m, ...)
  list(term = rownames(a), F = a[["F value"]], df1 = a$NumDF, df2 = a$DenDF, p = a[["Pr(>F)"]])
}
of_model <- function(m) {
  s <- coef(summary(m))
  list(criterion = if (isREML(m)) REMLcrit(m) else -2 * as.numeric(logLik(m)),
       names = rownames(s), estimate = s[, 1], se = s[, 2], df = s[, "df"], t = s[, "t value"],
       p = s[, "Pr(>|t|)"], anova = anova_of(m),
       fitted = unname(fitted(m)), population = unname(predict(m, re.form = NA)),
       residual = unname(residuals(m)), leverage = unname(hatvalues(m)),
       cook = unname(cooks.distance(m)))
}

grid <- function(m, spec) {
  e <- emmeans(m, spec, lmer.df = "satterthwaite", data = model.frame(m))
  list(means = frame(e), pairs = frame(pairs(e, adjust = "none")))
}
several <- function(m, rows) {
  p <- length(fixef(m)); L <- diag(p)[rows, , drop = FALSE]
  a <- contestMD(m, L)
  list(rows = rows - 1, F = a[["F value"]], df1 = a$NumDF, df2 = a$DenDF, p = a[["Pr(>F)"]])
}
nakagawa <- function(m) {
  r <- performance::r2_nakagawa(m)
  list(marginal = as.numeric(r$R2_marginal), conditional = as.numeric(r$R2_conditional),
       icc = performance::icc(m)$ICC_adjusted)
}
kenward_roger <- function(m) {
  s <- coef(summary(m, ddf = "Kenward-Roger"))
  list(se = s[, 2], df = s[, "df"], anova = anova_of(m, ddf = "Kenward-Roger"))
}

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
bcg <- data.frame(trial = bcg$trial, yi = as.numeric(bcg$yi), vi = as.numeric(bcg$vi),
                  ablat = bcg$ablat)
write.csv(format(bcg, digits = 15, trim = TRUE), "bcg.csv", row.names = FALSE, quote = FALSE)
by_metafor <- function(mods, test) {
  m <- rma(yi, vi, mods = mods, data = bcg, method = "REML", test = test,
           control = list(threshold = 1e-12, maxiter = 1000))
  last <- if (length(all.vars(mods)) == 0) predict(m) else NULL
  list(tau2 = m$tau2, estimate = as.vector(m$beta), se = m$se, p = m$pval,
       lower = m$ci.lb, upper = m$ci.ub, QM = m$QM, QMp = m$QMp,
       new = if (is.null(last)) NULL else c(last$pi.lb, last$pi.ub),
       blup = if (is.null(last)) NULL else frame(as.data.frame(blup(m))))
}

# The left side of the table in book/newcomers.md: each call is run, and its numbers kept.
d <- data.frame(bcg, alloc = dat.bcg$alloc)
to_the_end <- list(threshold = 1e-12, maxiter = 1000)
r <- rma(yi, vi, data = d, control = to_the_end)
r1 <- rma(yi, vi, mods = ~ ablat, data = d, control = to_the_end)
calls <- c("rma(yi, vi, data = d)", "rma(yi, vi, mods = ~ ablat, data = d)",
           'rma(yi, vi, data = d, method = "ML")', 'rma(yi, vi, data = d, test = "knha")',
           "rma.mv(yi, vi, random = ~ 1 | alloc/trial, data = d)", "r$tau2", "coef(r1)", "vcov(r1)",
           "r1$QM", "predict(r1, newmods = 40)", "fitted(r1)", "blup(r)", "ranef(r)$pred",
           'anova(update(r, method = "ML"), update(r1, method = "ML"))$pval', "forest(r)")
numbers <- function(x) {
  if (inherits(x, "forest.rma")) return(NULL)
  if (inherits(x, "rma")) return(as.vector(c(x$beta, x$se)))
  if (!is.list(x)) return(as.vector(x))
  ends <- as.vector(rbind(x$pi.lb, x$pi.ub))
  if (is.null(x$ci.lb)) c(x$pred, ends) else c(rbind(x$ci.lb, x$ci.ub), ends)
}
pdf(NULL)

plain <- function(x) {
  if (is.list(x)) return(lapply(x, plain))
  if (is.factor(x)) as.character(x) else unname(x)
}
out <- list(
  about = list(language = R.version.string, date = as.character(Sys.Date()), script = "after.R",
               packages = lapply(setNames(packages, packages),
                                 function(p) as.character(packageVersion(p)))),
  models = lapply(models, of_model),
  several = list(sleepstudy = several(models$sleepstudy, 1:2), rats = several(models$rats, 5:6),
                 intercepts = several(models$intercepts, 2:4),
                 crossed = several(models$crossed, 2:6), slopes = several(models$slopes, 2:5)),
  trends = local({
    e <- emtrends(models$rats, ~ Diet, var = "Time", lmer.df = "satterthwaite", data = rats)
    all <- pairs(e, adjust = "none")
    list(means = frame(e), pairs = frame(all), holm = frame(pairs(e, adjust = "holm"))$p.value,
         tukey = frame(pairs(e, adjust = "tukey"))$p.value,
         nlme_df = anova(nlme::lme(weight ~ Time * Diet, rats, ~ Time | Rat))$denDF)
  }),
  hotelling = local({
    both <- contestMD(models$sleepstudy, diag(2))
    kr <- contestMD(models$sleepstudy, diag(2), ddf = "Kenward-Roger")
    list(satterthwaite = c(both[["F value"]], both$NumDF, both$DenDF),
         kenward_roger = c(kr[["F value"]], kr$NumDF, kr$DenDF))
  }),
  means = list(f = grid(models$intercepts, ~ f), f_by_k = grid(models$crossed, ~ f | k),
               k = grid(models$slopes, ~ k),
               interaction = grid(models$interaction, ~ f), weighted = grid(models$weighted, ~ f)),
  r2 = lapply(models[c("sleepstudy", "intercepts", "crossed", "slopes", "no_intercept")], nakagawa),
  kenward_roger = lapply(models[c("sleepstudy", "rats", "intercepts", "crossed", "slopes")], kenward_roger),
  holed = local({
    m <- suppressMessages(lmer(y ~ f * k + x + (1 | g), holed, control = strict))
    list(names = names(fixef(m)), criterion = REMLcrit(m),
         means = frame(emmeans(m, ~ f | k, lmer.df = "satterthwaite", data = holed)))
  }),
  compare = local({
    a <- anova(lmer(y ~ k + (1 | g), factorial, control = strict),
               lmer(y ~ f + k + (1 | g), factorial, control = strict), models$intercepts)
    list(parameters = a$npar, aic = a$AIC, bic = a$BIC, deviance = a$deviance,
         statistic = a$Chisq, df = a$Df, p = a[["Pr(>Chisq)"]])
  }),
  metafor = list(z = by_metafor(~ 1, "z"), knha = by_metafor(~ 1, "knha"),
                 z_ablat = by_metafor(~ ablat, "z"), knha_ablat = by_metafor(~ ablat, "knha")),
  calls = sapply(calls, function(code)
    numbers(eval(parse(text = sub("^rma\\((.*)\\)$", "rma(\\1, control = to_the_end)", code))))))
text <- jsonlite::toJSON(plain(out), digits = I(15), auto_unbox = TRUE, null = "null")
writeLines(gsub('("(models|several|trends|hotelling|means|r2|kenward_roger|holed|compare|metafor|calls)")', "\n\\1", text),
           "said.json")
