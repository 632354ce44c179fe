"""The web application: HTTP, forms, database and people around the models of `ml`."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from ml.labels import use_own_label_sets
from webapp.config import PROJECT_FOLDER, Config, load_config

STATIC_MAX_AGE = 365 * 24 * 3600


def create_app(config: Config | None = None) -> Flask:
    """Build the application. Loads no model and opens no connection; that happens at the first need."""
    config = config or load_config()
    use_own_label_sets(config.label_sets)
    app = Flask(
        __name__,
        template_folder=str(PROJECT_FOLDER / "templates"),
        static_folder=str(PROJECT_FOLDER / "static"),
        instance_path=str(config.instance.resolve()),
    )
    app.config.from_mapping(config.to_flask())
    _init_extensions(app, config)
    _init_pages(app)
    _init_commands(app)
    if config.trusted_proxies:
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _init_extensions(app: Flask, config: Config) -> None:
    from webapp import (
        admission,
        clock,
        database,
        errors,
        extensions,
        first_looks,
        hosts,
        i18n,
        inference,
        metrics,
        photos,
        request_log,
        responses,
        sessions,
    )
    from webapp.account import views as account
    from webapp.models import chat, training_run  # noqa: F401  # not all use their tables, but migrations look at all
    from webapp.promotion import shadow

    metrics.init_metrics(app)
    request_log.init_request_log(app, config)
    hosts.init_hosts(app, config)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = database.engine_options(config.database)
    extensions.db.init_app(app)
    with app.app_context():
        database.configure(extensions.db.engine)
    extensions.migrate.init_app(app, extensions.db, directory=str(PROJECT_FOLDER / "migrations"), render_as_batch=True)
    extensions.csrf.init_app(app)
    setback = clock.Setback(extensions.limiter.reset)
    app.before_request(setback.look)  # before the limits are looked at
    extensions.limiter.init_app(app)
    extensions.babel.init_app(app, locale_selector=i18n.choose_language)
    sessions.init_sessions(app)
    account.init_login(app)
    photos.init_photos(app, config.photos)
    inference.init_inference(app, config)
    admission.init_admission(app, config)
    shadow.init_shadow(app)
    first_looks.init_first_looks(app, config)
    errors.init_errors(app)
    responses.init_headers(app, config)


def _init_pages(app: Flask) -> None:
    from webapp import health, i18n, metrics
    from webapp.about import views as about
    from webapp.account import own, words  # noqa: F401  # it adds its pages to the blueprint
    from webapp.account import views as account
    from webapp.admin import (  # noqa: F401  # they add their pages to the blueprint
        audit,
        bulk,
        case,
        case_pdf,
        erasing,
        export,
        history,
        insights,
        measures,
        models,
        review,
        saved_views,
        shadow,
        training,
        training_set,
        users,
    )
    from webapp.admin import blueprint as admin
    from webapp.admin.navigation import admin_pages
    from webapp.api import blueprint as api
    from webapp.api import catalogue, documentation, screenings  # noqa: F401  # they add their addresses to it
    from webapp.demo.entries import shows_demo
    from webapp.insights.alerts import recent_alerts
    from webapp.model_page import views as model_page
    from webapp.screening import advice, first_impressions, grades, status_reasons
    from webapp.screening import views as screening

    for blueprint in (
        screening.blueprint,
        model_page.blueprint,
        about.blueprint,
        account.blueprint,
        admin.blueprint,
        api.blueprint,
        health.blueprint,
        metrics.blueprint,
    ):
        app.register_blueprint(blueprint)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        account_words=words,
        advice=advice,
        grades=grades,
        status_reasons=status_reasons,
        shows_demo=shows_demo,
        recent_alerts=recent_alerts,
        admin_pages=admin_pages,
        first_impressions=first_impressions,
        languages=i18n.LANGUAGES,
        language=i18n.choose_language,
    )
    app.jinja_env.filters.update(
        percent=i18n.percent, number=i18n.number, fixed=i18n.fixed, day=i18n.day, utc_time=i18n.utc_time
    )

    @app.template_global()
    def asset(name: str) -> str:
        """The address of a static file, with its fingerprint so that it may be cached for long."""
        return url_for("static", filename=name, v=_fingerprint(Path(app.static_folder or "") / name))

    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = STATIC_MAX_AGE


def _init_commands(app: Flask) -> None:
    from webapp.cli import (
        audit,
        backup,
        compare,
        conditions,
        data,
        demo,
        ensemble,
        evaluate,
        export,
        gate,
        insights,
        models,
        photos,
        predict,
        screenings,
        settings,
        telegram,
        tokens,
        train,
        trainer,
        users,
    )

    for command in (
        data.data_cli,
        demo.demo_command,
        train.train_command,
        trainer.trainer_command,
        ensemble.ensemble_command,
        gate.gate_cli,
        insights.insights_command,
        evaluate.evaluate_command,
        conditions.conditions_command,
        compare.compare_command,
        export.export_command,
        models.models_cli,
        predict.predict_command,
        users.users,
        tokens.tokens,
        audit.audit,
        screenings.screenings,
        photos.photos,
        backup.backup_command,
        backup.restore_command,
        telegram.telegram_command,
        settings.settings,
    ):
        app.cli.add_command(command)


@cache
def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
