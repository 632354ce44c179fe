"""first tables

Revision: 0001, after , 2026-11-20.
"""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('screenings',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('channel', sa.String(length=20), nullable=False),
    sa.Column('language', sa.String(length=10), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('consent_at', sa.DateTime(), nullable=True),
    sa.Column('finished_at', sa.DateTime(), nullable=True),
    sa.Column('deleted_at', sa.DateTime(), nullable=True),
    sa.Column('claim', sa.String(length=32), nullable=True),
    sa.Column('claimed_at', sa.DateTime(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('failure', sa.String(length=40), nullable=True),
    sa.Column('label_set', sa.String(length=80), nullable=True),
    sa.Column('predicted', sa.String(length=80), nullable=True),
    sa.Column('probabilities', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('status', sa.String(length=20), nullable=True),
    sa.Column('malignant_risk', sa.Double(), nullable=True),
    sa.Column('thresholds', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('gate', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('first_look', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('severity', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('model_name', sa.String(length=200), nullable=True),
    sa.Column('model_version', sa.String(length=80), nullable=True),
    sa.Column('seconds', sa.JSON(none_as_null=True), nullable=True),
    sa.CheckConstraint("state IN ('pending', 'done', 'failed')", name=op.f('ck_screenings_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_screenings')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_screenings_token_hash')),
    sqlite_autoincrement=True
    )
    op.create_index('ix_screenings_model_newest', 'screenings', ['model_name', 'model_version', 'created_at', 'id'], unique=False)
    op.create_index('ix_screenings_newest', 'screenings', ['created_at', 'id'], unique=False)
    op.create_index('ix_screenings_pending', 'screenings', ['id'], unique=False, sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'"))
    op.create_index('ix_screenings_predicted_newest', 'screenings', ['predicted', 'created_at', 'id'], unique=False)
    op.create_index('ix_screenings_status_newest', 'screenings', ['status', 'created_at', 'id'], unique=False)

    op.create_table('users',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('password_hash', sa.String(length=200), nullable=False),
    sa.Column('role', sa.String(length=20), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('last_login_at', sa.DateTime(), nullable=True),
    sa.Column('failed_logins', sa.Integer(), nullable=False),
    sa.Column('locked_until', sa.DateTime(), nullable=True),
    sa.Column('session_version', sa.Integer(), nullable=False),
    sa.CheckConstraint("role IN ('admin', 'reviewer', 'viewer')", name=op.f('ck_users_role')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_users')),
    sa.UniqueConstraint('name', name=op.f('uq_users_name'))
    )
    op.create_table('photos',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('screening_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('width', sa.Integer(), nullable=False),
    sa.Column('height', sa.Integer(), nullable=False),
    sa.Column('answer', sa.JSON(none_as_null=True), nullable=True),
    sa.ForeignKeyConstraint(['screening_id'], ['screenings.id'], name=op.f('fk_photos_screening_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_photos')),
    sa.UniqueConstraint('name', name=op.f('uq_photos_name')),
    sa.UniqueConstraint('screening_id', 'position', name=op.f('uq_photos_screening_id_position'))
    )
    op.create_index('ix_photos_sha256', 'photos', ['sha256'], unique=False)



def downgrade() -> None:
    op.drop_table("photos")
    op.drop_table("users")
    op.drop_table("screenings")
