-- The schemas of all services as the migrations make them. Written by `make dump-schema`, compared by a test.
-- Everything belongs to genonaut_admin; who may do what with it is in provisioning.py.

CREATE SCHEMA analytics;

CREATE SCHEMA content;

CREATE SCHEMA generation;

CREATE SCHEMA notifications;

CREATE FUNCTION analytics.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE FUNCTION content.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE FUNCTION content.refuse_new_prompt() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'the prompt of a content item never changes' USING ERRCODE = 'check_violation'; END$$;

CREATE FUNCTION generation.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE FUNCTION notifications.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$;

CREATE TABLE analytics.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE analytics.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE analytics.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME analytics.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE analytics.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE analytics.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME analytics.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE analytics.generation_durations_hourly (
    hour timestamp with time zone NOT NULL,
    bucket integer NOT NULL,
    generations bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.generation_events (
    hour timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    job_id bigint NOT NULL,
    user_id uuid NOT NULL,
    generation_type text,
    success boolean,
    duration_ms bigint,
    queue_wait_ms bigint,
    error_type text,
    error_message text,
    model_checkpoint text,
    width integer,
    height integer,
    batch_size integer,
    images integer
);

CREATE TABLE analytics.generation_metrics_hourly (
    hour timestamp with time zone NOT NULL,
    latest_event_at timestamp with time zone NOT NULL,
    total_requests bigint NOT NULL,
    started_attempts bigint NOT NULL,
    successful_generations bigint NOT NULL,
    failed_generations bigint NOT NULL,
    cancelled_generations bigint NOT NULL,
    total_images_generated bigint NOT NULL,
    duration_ms_sum bigint NOT NULL,
    queue_wait_ms_sum bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.generation_users_hourly (
    hour timestamp with time zone NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE analytics.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE analytics.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE analytics.route_analytics (
    hour timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    user_id uuid,
    duration_us bigint NOT NULL,
    status_code integer NOT NULL,
    query_params jsonb NOT NULL,
    query_params_normalized jsonb NOT NULL,
    request_size_bytes bigint NOT NULL,
    response_size_bytes bigint NOT NULL,
    error_type text
);

CREATE TABLE analytics.route_analytics_hourly (
    hour timestamp with time zone NOT NULL,
    pattern_id uuid NOT NULL,
    route text NOT NULL,
    method text NOT NULL,
    query_params_normalized jsonb NOT NULL,
    total_requests bigint NOT NULL,
    successful_requests bigint NOT NULL,
    client_errors bigint NOT NULL,
    server_errors bigint NOT NULL,
    duration_us_sum bigint NOT NULL,
    request_bytes_sum bigint NOT NULL,
    response_bytes_sum bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.route_durations_hourly (
    hour timestamp with time zone NOT NULL,
    pattern_id uuid NOT NULL,
    bucket integer NOT NULL,
    requests bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE analytics.route_users_hourly (
    hour timestamp with time zone NOT NULL,
    pattern_id uuid NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE analytics.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE analytics.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

CREATE TABLE content.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE content.content_items_all (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title character varying(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt character varying(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    tag_ids uuid[] NOT NULL,
    quality_score double precision NOT NULL,
    is_private boolean NOT NULL,
    path_thumb character varying(512),
    image_sha256 text,
    job_id bigint,
    image_index integer,
    search_text text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT content_items_all_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
)
PARTITION BY LIST (source_type);

CREATE TABLE content.content_items (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title character varying(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt character varying(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    tag_ids uuid[] NOT NULL,
    quality_score double precision NOT NULL,
    is_private boolean NOT NULL,
    path_thumb character varying(512),
    image_sha256 text,
    job_id bigint,
    image_index integer,
    search_text text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT content_items_all_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
);

CREATE TABLE content.content_items_auto (
    id bigint NOT NULL,
    source_type text NOT NULL,
    title character varying(255) NOT NULL,
    content_type text NOT NULL,
    content_data text,
    prompt character varying(20000) NOT NULL,
    creator_id uuid NOT NULL,
    item_metadata jsonb NOT NULL,
    tag_ids uuid[] NOT NULL,
    quality_score double precision NOT NULL,
    is_private boolean NOT NULL,
    path_thumb character varying(512),
    image_sha256 text,
    job_id bigint,
    image_index integer,
    search_text text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT content_items_all_quality_score_check CHECK (((quality_score >= (0)::double precision) AND (quality_score <= (1)::double precision)))
);

CREATE SEQUENCE content.content_items_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE content.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE content.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME content.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE content.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE content.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME content.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE content.image_uploads (
    sha256 text NOT NULL,
    user_id uuid NOT NULL
);

CREATE TABLE content.images (
    sha256 text NOT NULL,
    media_type text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE content.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE content.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE content.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE content.tag_parents (
    tag_id uuid NOT NULL,
    parent_id uuid NOT NULL
);

CREATE TABLE content.tags (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    is_private boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE content.tags_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 134217727
    CACHE 1;

CREATE TABLE content.users (
    id uuid NOT NULL,
    username text NOT NULL,
    email text NOT NULL,
    is_active boolean NOT NULL,
    preferences jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE content.users_number_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 134217727
    CACHE 1;

CREATE TABLE content.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

CREATE TABLE generation.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE generation.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE generation.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME generation.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE generation.driven_servers (
    driver uuid NOT NULL,
    name text NOT NULL,
    fit boolean NOT NULL,
    told_at timestamp with time zone NOT NULL
);

CREATE TABLE generation.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE generation.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME generation.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE generation.generation_jobs (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    job_type text NOT NULL,
    status text NOT NULL,
    prompt text NOT NULL,
    params jsonb NOT NULL,
    content_id bigint,
    content_ids jsonb NOT NULL,
    error_message text,
    error_type text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    dispatch_id uuid NOT NULL,
    negative_prompt text NOT NULL,
    checkpoint_model text NOT NULL,
    lora_models jsonb NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    batch_size integer NOT NULL,
    sampler_params jsonb NOT NULL,
    comfyui_prompt_id uuid,
    output_paths jsonb NOT NULL,
    thumbnail_paths jsonb NOT NULL,
    attempt integer NOT NULL,
    is_private boolean NOT NULL
);

CREATE TABLE generation.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE generation.item_arrivals (
    job_id bigint NOT NULL,
    image_index integer NOT NULL,
    content_id bigint NOT NULL
);

CREATE TABLE generation.job_leases (
    job_id bigint NOT NULL,
    holder uuid NOT NULL,
    takes integer NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE generation.jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE generation.known_users (
    user_id uuid NOT NULL,
    registered_at timestamp with time zone NOT NULL
);

CREATE TABLE generation.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE generation.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE generation.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

CREATE TABLE notifications.attempts (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    started integer NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE notifications.dead_letters (
    id bigint NOT NULL,
    consumer text NOT NULL,
    stream_sequence bigint NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    deliveries integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    redriven_at timestamp with time zone
);

ALTER TABLE notifications.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME notifications.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE notifications.events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    stream text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    dataversion integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    correlation_id text NOT NULL,
    causation_id uuid,
    traceparent text,
    data jsonb NOT NULL,
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE notifications.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME notifications.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE notifications.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE notifications.outbox (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    restored_at timestamp with time zone
);

CREATE TABLE notifications.recipients (
    user_id uuid NOT NULL,
    username text,
    notifications_enabled boolean NOT NULL,
    decided_by bigint NOT NULL
);

CREATE TABLE notifications.schema_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE notifications.user_notifications (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    cause text NOT NULL,
    title character varying(255) NOT NULL,
    message text NOT NULL,
    notification_type text NOT NULL,
    read_status boolean NOT NULL,
    related_job_id bigint,
    related_content_id bigint,
    created_at timestamp with time zone NOT NULL,
    read_at timestamp with time zone
);

CREATE SEQUENCE notifications.user_notifications_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE notifications.verifications (
    projection text NOT NULL,
    verified_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint NOT NULL,
    equal boolean NOT NULL
);

ALTER TABLE ONLY content.content_items_all ATTACH PARTITION content.content_items FOR VALUES IN ('items');

ALTER TABLE ONLY content.content_items_all ATTACH PARTITION content.content_items_auto FOR VALUES IN ('auto');

ALTER TABLE ONLY analytics.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY analytics.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY analytics.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY analytics.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY analytics.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY analytics.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY analytics.generation_durations_hourly
    ADD CONSTRAINT generation_durations_hourly_pkey PRIMARY KEY (hour, bucket);

ALTER TABLE ONLY analytics.generation_events
    ADD CONSTRAINT generation_events_pkey PRIMARY KEY (hour, event_id);

ALTER TABLE ONLY analytics.generation_metrics_hourly
    ADD CONSTRAINT generation_metrics_hourly_pkey PRIMARY KEY (hour);

ALTER TABLE ONLY analytics.generation_users_hourly
    ADD CONSTRAINT generation_users_hourly_pkey PRIMARY KEY (hour, user_id);

ALTER TABLE ONLY analytics.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY analytics.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY analytics.route_analytics_hourly
    ADD CONSTRAINT route_analytics_hourly_pkey PRIMARY KEY (hour, pattern_id);

ALTER TABLE ONLY analytics.route_analytics
    ADD CONSTRAINT route_analytics_pkey PRIMARY KEY (hour, event_id);

ALTER TABLE ONLY analytics.route_durations_hourly
    ADD CONSTRAINT route_durations_hourly_pkey PRIMARY KEY (hour, pattern_id, bucket);

ALTER TABLE ONLY analytics.route_users_hourly
    ADD CONSTRAINT route_users_hourly_pkey PRIMARY KEY (hour, pattern_id, user_id);

ALTER TABLE ONLY analytics.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY analytics.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

ALTER TABLE ONLY content.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY content.content_items_all
    ADD CONSTRAINT content_items_all_pkey PRIMARY KEY (id, source_type);

ALTER TABLE ONLY content.content_items_auto
    ADD CONSTRAINT content_items_auto_pkey PRIMARY KEY (id, source_type);

ALTER TABLE ONLY content.content_items
    ADD CONSTRAINT content_items_pkey PRIMARY KEY (id, source_type);

ALTER TABLE ONLY content.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY content.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY content.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY content.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY content.image_uploads
    ADD CONSTRAINT image_uploads_pkey PRIMARY KEY (sha256, user_id);

ALTER TABLE ONLY content.images
    ADD CONSTRAINT images_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY content.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY content.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY content.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY content.tag_parents
    ADD CONSTRAINT tag_parents_pkey PRIMARY KEY (tag_id, parent_id);

ALTER TABLE ONLY content.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.tags
    ADD CONSTRAINT tags_slug_key UNIQUE (slug);

ALTER TABLE ONLY content.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

ALTER TABLE ONLY generation.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY generation.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY generation.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY generation.driven_servers
    ADD CONSTRAINT driven_servers_pkey PRIMARY KEY (driver, name);

ALTER TABLE ONLY generation.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY generation.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY generation.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY generation.generation_jobs
    ADD CONSTRAINT generation_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY generation.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY generation.item_arrivals
    ADD CONSTRAINT item_arrivals_pkey PRIMARY KEY (job_id, image_index);

ALTER TABLE ONLY generation.job_leases
    ADD CONSTRAINT job_leases_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY generation.known_users
    ADD CONSTRAINT known_users_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY generation.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY generation.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY generation.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

ALTER TABLE ONLY notifications.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY notifications.dead_letters
    ADD CONSTRAINT dead_letters_consumer_stream_sequence_stored_at_key UNIQUE (consumer, stream_sequence, stored_at);

ALTER TABLE ONLY notifications.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY notifications.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY notifications.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY notifications.events
    ADD CONSTRAINT events_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY notifications.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY notifications.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY notifications.recipients
    ADD CONSTRAINT recipients_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY notifications.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY notifications.user_notifications
    ADD CONSTRAINT user_notifications_cause_key UNIQUE (cause);

ALTER TABLE ONLY notifications.user_notifications
    ADD CONSTRAINT user_notifications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY notifications.verifications
    ADD CONSTRAINT verifications_pkey PRIMARY KEY (projection);

CREATE INDEX inbox_handled_at_idx ON analytics.inbox USING brin (handled_at);

CREATE INDEX route_analytics_hourly_route_idx ON analytics.route_analytics_hourly USING btree (route, hour);

CREATE UNIQUE INDEX content_items_all_job_image_key ON ONLY content.content_items_all USING btree (job_id, image_index, source_type);

CREATE INDEX idx_content_items_all_image ON ONLY content.content_items_all USING btree (image_sha256);

CREATE INDEX content_items_auto_image_sha256_idx ON content.content_items_auto USING btree (image_sha256);

CREATE UNIQUE INDEX content_items_auto_job_id_image_index_source_type_idx ON content.content_items_auto USING btree (job_id, image_index, source_type);

CREATE INDEX idx_content_items_all_tags ON ONLY content.content_items_all USING gin (tag_ids);

CREATE INDEX content_items_auto_tag_ids_idx ON content.content_items_auto USING gin (tag_ids);

CREATE INDEX content_items_image_sha256_idx ON content.content_items USING btree (image_sha256);

CREATE UNIQUE INDEX content_items_job_id_image_index_source_type_idx ON content.content_items USING btree (job_id, image_index, source_type);

CREATE INDEX content_items_tag_ids_idx ON content.content_items USING gin (tag_ids);

CREATE INDEX idx_content_items_all_created_id ON ONLY content.content_items_all USING btree (created_at, id);

CREATE INDEX idx_content_items_all_creator_created ON ONLY content.content_items_all USING btree (creator_id, created_at, id);

CREATE INDEX idx_content_items_all_public_created ON ONLY content.content_items_all USING btree (created_at, id) WHERE (NOT is_private);

CREATE INDEX idx_content_items_all_quality_id ON ONLY content.content_items_all USING btree (quality_score, id);

CREATE INDEX idx_content_items_all_title_id ON ONLY content.content_items_all USING btree (title, id);

CREATE INDEX idx_content_items_all_type_created ON ONLY content.content_items_all USING btree (content_type, created_at, id);

CREATE INDEX idx_content_items_all_updated_id ON ONLY content.content_items_all USING btree (updated_at, id);

CREATE INDEX idx_content_items_auto_created_id_desc ON content.content_items_auto USING btree (created_at, id);

CREATE INDEX idx_content_items_auto_creator_created ON content.content_items_auto USING btree (creator_id, created_at, id);

CREATE INDEX idx_content_items_auto_public_created ON content.content_items_auto USING btree (created_at, id) WHERE (NOT is_private);

CREATE INDEX idx_content_items_auto_quality_id ON content.content_items_auto USING btree (quality_score, id);

CREATE INDEX idx_content_items_auto_title_id ON content.content_items_auto USING btree (title, id);

CREATE INDEX idx_content_items_auto_type_created ON content.content_items_auto USING btree (content_type, created_at, id);

CREATE INDEX idx_content_items_auto_updated_id ON content.content_items_auto USING btree (updated_at, id);

CREATE INDEX idx_content_items_created_id_desc ON content.content_items USING btree (created_at, id);

CREATE INDEX idx_content_items_creator_created ON content.content_items USING btree (creator_id, created_at, id);

CREATE INDEX idx_content_items_public_created ON content.content_items USING btree (created_at, id) WHERE (NOT is_private);

CREATE INDEX idx_content_items_quality_id ON content.content_items USING btree (quality_score, id);

CREATE INDEX idx_content_items_title_id ON content.content_items USING btree (title, id);

CREATE INDEX idx_content_items_type_created ON content.content_items USING btree (content_type, created_at, id);

CREATE INDEX idx_content_items_updated_id ON content.content_items USING btree (updated_at, id);

CREATE INDEX inbox_handled_at_idx ON content.inbox USING brin (handled_at);

CREATE INDEX ix_content_all_metadata_gin ON ONLY content.content_items_all USING gin (item_metadata);

CREATE INDEX ix_content_auto_metadata_gin ON content.content_items_auto USING gin (item_metadata);

CREATE INDEX ix_content_metadata_gin ON content.content_items USING gin (item_metadata);

CREATE INDEX ix_tag_parents_parent_id ON content.tag_parents USING btree (parent_id);

CREATE INDEX ix_tags_name ON content.tags USING btree (name, id);

CREATE INDEX ix_users_created_id ON content.users USING btree (created_at, id);

CREATE UNIQUE INDEX ix_users_email ON content.users USING btree (email);

CREATE INDEX ix_users_is_active ON content.users USING btree (is_active);

CREATE INDEX ix_users_preferences_gin ON content.users USING gin (preferences);

CREATE UNIQUE INDEX ix_users_username ON content.users USING btree (lower(username));

CREATE INDEX idx_generation_jobs_status_created ON generation.generation_jobs USING btree (status, created_at, id);

CREATE INDEX idx_generation_jobs_type_created ON generation.generation_jobs USING btree (job_type, created_at, id);

CREATE INDEX idx_generation_jobs_user_created ON generation.generation_jobs USING btree (user_id, created_at, id);

CREATE INDEX inbox_handled_at_idx ON generation.inbox USING brin (handled_at);

CREATE INDEX ix_generation_jobs_active ON generation.generation_jobs USING btree (updated_at) WHERE (status = ANY (ARRAY['pending'::text, 'running'::text]));

CREATE UNIQUE INDEX ix_generation_jobs_comfyui_prompt_id ON generation.generation_jobs USING btree (comfyui_prompt_id);

CREATE INDEX ix_generation_jobs_created_at ON generation.generation_jobs USING btree (created_at, id);

CREATE UNIQUE INDEX ix_generation_jobs_dispatch_id ON generation.generation_jobs USING btree (dispatch_id);

CREATE INDEX inbox_handled_at_idx ON notifications.inbox USING brin (handled_at);

CREATE INDEX user_notifications_newest_idx ON notifications.user_notifications USING btree (user_id, created_at, id);

CREATE INDEX user_notifications_unread_idx ON notifications.user_notifications USING btree (user_id, id) WHERE (NOT read_status);

ALTER INDEX content.idx_content_items_all_image ATTACH PARTITION content.content_items_auto_image_sha256_idx;

ALTER INDEX content.content_items_all_job_image_key ATTACH PARTITION content.content_items_auto_job_id_image_index_source_type_idx;

ALTER INDEX content.content_items_all_pkey ATTACH PARTITION content.content_items_auto_pkey;

ALTER INDEX content.idx_content_items_all_tags ATTACH PARTITION content.content_items_auto_tag_ids_idx;

ALTER INDEX content.idx_content_items_all_image ATTACH PARTITION content.content_items_image_sha256_idx;

ALTER INDEX content.content_items_all_job_image_key ATTACH PARTITION content.content_items_job_id_image_index_source_type_idx;

ALTER INDEX content.content_items_all_pkey ATTACH PARTITION content.content_items_pkey;

ALTER INDEX content.idx_content_items_all_tags ATTACH PARTITION content.content_items_tag_ids_idx;

ALTER INDEX content.idx_content_items_all_created_id ATTACH PARTITION content.idx_content_items_auto_created_id_desc;

ALTER INDEX content.idx_content_items_all_creator_created ATTACH PARTITION content.idx_content_items_auto_creator_created;

ALTER INDEX content.idx_content_items_all_public_created ATTACH PARTITION content.idx_content_items_auto_public_created;

ALTER INDEX content.idx_content_items_all_quality_id ATTACH PARTITION content.idx_content_items_auto_quality_id;

ALTER INDEX content.idx_content_items_all_title_id ATTACH PARTITION content.idx_content_items_auto_title_id;

ALTER INDEX content.idx_content_items_all_type_created ATTACH PARTITION content.idx_content_items_auto_type_created;

ALTER INDEX content.idx_content_items_all_updated_id ATTACH PARTITION content.idx_content_items_auto_updated_id;

ALTER INDEX content.idx_content_items_all_created_id ATTACH PARTITION content.idx_content_items_created_id_desc;

ALTER INDEX content.idx_content_items_all_creator_created ATTACH PARTITION content.idx_content_items_creator_created;

ALTER INDEX content.idx_content_items_all_public_created ATTACH PARTITION content.idx_content_items_public_created;

ALTER INDEX content.idx_content_items_all_quality_id ATTACH PARTITION content.idx_content_items_quality_id;

ALTER INDEX content.idx_content_items_all_title_id ATTACH PARTITION content.idx_content_items_title_id;

ALTER INDEX content.idx_content_items_all_type_created ATTACH PARTITION content.idx_content_items_type_created;

ALTER INDEX content.idx_content_items_all_updated_id ATTACH PARTITION content.idx_content_items_updated_id;

ALTER INDEX content.ix_content_all_metadata_gin ATTACH PARTITION content.ix_content_auto_metadata_gin;

ALTER INDEX content.ix_content_all_metadata_gin ATTACH PARTITION content.ix_content_metadata_gin;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON analytics.events FOR EACH ROW EXECUTE FUNCTION analytics.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON content.events FOR EACH ROW EXECUTE FUNCTION content.refuse_change();

CREATE TRIGGER prompt_is_immutable BEFORE UPDATE ON content.content_items_all FOR EACH ROW WHEN (((old.prompt)::text IS DISTINCT FROM (new.prompt)::text)) EXECUTE FUNCTION content.refuse_new_prompt();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON generation.events FOR EACH ROW EXECUTE FUNCTION generation.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON notifications.events FOR EACH ROW EXECUTE FUNCTION notifications.refuse_change();

ALTER TABLE ONLY analytics.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES analytics.events(id);

ALTER TABLE ONLY content.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES content.events(id);

ALTER TABLE ONLY generation.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES generation.events(id);

ALTER TABLE ONLY notifications.outbox
    ADD CONSTRAINT outbox_event_id_fkey FOREIGN KEY (event_id) REFERENCES notifications.events(id);
