# What lme4 says of the casks and the plates of the chapter *nested*.
# Run in this folder: Rscript nested.R    (Debian 12: apt-get install r-cran-lme4 r-cran-jsonlite)
# It writes said.json (numbers with 15 significant digits, versions and date).
suppressPackageStartupMessages(library(lme4))

strict <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.01, rhoend = 1e-10, maxfun = 1e6))
said <- function(formula, data, REML) {
  m <- suppressMessages(lmer(formula, data, REML = REML, control = strict))
  v <- as.data.frame(VarCorr(m))
  list(criterion = if (REML) REMLcrit(m) else -2 * as.numeric(logLik(m)),
       sd = setNames(as.list(v$sdcor), v$grp), fixed = unname(fixef(m)),
       se = unname(sqrt(diag(as.matrix(vcov(m))))),
       random = lapply(ranef(m, condVar = FALSE), function(r) setNames(as.list(r[[1]]), rownames(r))))
}
formulas <- list(slash = strength ~ 1 + (1 | batch / cask), reused = strength ~ 1 + (1 | batch) + (1 | cask),
                 batch = strength ~ 1 + (1 | batch), sample = strength ~ 1 + (1 | sample))
plates <- diameter ~ 1 + (1 | plate) + (1 | sample)
out <- list(about = list(language = R.version.string, date = as.character(Sys.Date()),
                         script = "nested.R", lme4 = as.character(packageVersion("lme4"))),
            Pastes = list(REML = lapply(formulas, said, Pastes, TRUE),
                          ML = lapply(formulas, said, Pastes, FALSE)),
            Penicillin = list(REML = said(plates, Penicillin, TRUE), ML = said(plates, Penicillin, FALSE)))
text <- jsonlite::toJSON(out, digits = I(15), auto_unbox = TRUE)
writeLines(gsub('("(Pastes|Penicillin|ML|slash|reused|batch|sample)":\\{"(crit|REML|slash))', "\n\\1", text), "said.json")
